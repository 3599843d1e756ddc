//! Packages from registries, kept below the target folder, and a browser.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// What Chromium is called by those who package it.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// One installation at a time in this process.
static INSTALLING: Mutex<()> = Mutex::new(());

/// An environment of Python's with these packages; the path of its interpreter.
pub(crate) fn python(name: &str, requirements: &str) -> PathBuf {
    let folder = installed(name, requirements, |folder| {
        let wanted = folder.join("requirements.txt");
        succeed(Command::new("python3").args(["-m", "venv"]).arg(folder));
        std::fs::write(&wanted, requirements).unwrap();
        let mut pip = Command::new(folder.join("bin/python"));
        succeed(pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&wanted));
    });
    folder.join("bin/python")
}

/// A folder with these packages of npm's and files that use them.
pub(super) fn node(name: &str, package: &str, lock: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = installed(name, lock, |folder| {
        std::fs::write(folder.join("package.json"), package).unwrap();
        std::fs::write(folder.join("package-lock.json"), lock).unwrap();
        let mut npm = Command::new("npm");
        succeed(npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(folder));
    });
    // Modules are looked for beside the files, and the files may be newer than they are.
    for (file, content) in files {
        std::fs::write(folder.join(file), content).unwrap();
    }
    folder
}

/// The path of a browser. Debian's is installed where there is none, if that is allowed.
pub(super) fn chromium() -> PathBuf {
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(browser) = browser_on_path() {
        return browser;
    }
    let may_install = rustix::process::geteuid().is_root() && Path::new("/etc/debian_version").exists();
    assert!(may_install, "a web client needs a browser: install Chromium, as one of {BROWSERS:?} on the PATH");
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-o", "DPkg::Lock::Timeout=600"]);
        succeed(apt.args(arguments));
    };
    apt(&["update"]);
    apt(&["install", "-y", "--no-install-recommends", "chromium"]);
    browser_on_path().expect("the browser that Debian's package chromium has")
}

fn browser_on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let places = |name| folders.iter().map(move |folder| folder.join(name));
    BROWSERS.into_iter().flat_map(places).find(|place| place.is_file())
}

/// A folder with what these packages of Debian's install. Nothing else of the machine changes.
pub(crate) fn debian(name: &str, packages: &[&str]) -> PathBuf {
    installed(name, &packages.join(" "), |folder| {
        // The list of packages may be older than what the registry has, or missing.
        let download = || Command::new("apt-get").arg("download").args(packages).current_dir(folder).output();
        if !download().is_ok_and(|output| output.status.success()) {
            succeed(Command::new("apt-get").args(["update", "--quiet"]));
            assert!(download().is_ok_and(|output| output.status.success()), "{packages:?} cannot be had");
        }
        for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_some_and(|extension| extension == "deb") {
                succeed(Command::new("dpkg").arg("-x").arg(&file).arg(folder));
            }
        }
    })
}

/// A folder that something was installed in, for this content of its list of packages.
fn installed(name: &str, list: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut hasher = DefaultHasher::new();
    list.hash(&mut hasher);
    let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    let folder = base.join(format!("{name}-{:016x}", hasher.finish()));
    // Written last: an installation that was broken off is made anew.
    let complete = folder.join("complete");
    if !complete.exists() {
        if folder.exists() {
            std::fs::remove_dir_all(&folder).unwrap();
        }
        std::fs::create_dir_all(&folder).unwrap();
        install(&folder);
        std::fs::write(complete, "").unwrap();
    }
    folder
}

pub(crate) fn succeed(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
