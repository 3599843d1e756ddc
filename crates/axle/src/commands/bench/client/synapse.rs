//! Synapse from PyPI, in an environment of Python's that is kept between runs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use super::Result;
use super::homeserver::Passwords;

/// The version that is compared with.
pub(super) const VERSION: &str = "1.163.2";

/// The Python that runs it: installed on the first call, which takes a minute or two.
pub(super) fn install() -> Result<PathBuf> {
    let folder = cache_folder()?.join(format!("synapse-{VERSION}"));
    let python = folder.join("bin/python");
    // Written last: an installation that was broken off is made anew.
    let complete = folder.join("complete");
    if complete.exists() {
        return Ok(python);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    succeed(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let wanted = format!("matrix-synapse=={VERSION}");
    succeed(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", &wanted]))?;
    fs::write(complete, "")?;
    Ok(python)
}

/// Writes a configuration and makes the signing key: Synapse's defaults on SQLite, without rate limits, and without
/// presence and statistics, which would only cost it more.
pub(super) fn configure(python: &Path, folder: &Path, client: SocketAddr, passwords: Passwords) -> Result<PathBuf> {
    let config = folder.join("homeserver.yaml");
    fs::write(&config, configuration(folder, client, passwords))?;
    fs::write(folder.join("log.yaml"), LOGGING)?;
    let mut keys = Command::new(python);
    keys.args(["-m", "synapse.app.homeserver", "--generate-keys", "-c"]).arg(&config).current_dir(folder);
    succeed(&mut keys)?;
    Ok(config)
}

const LOGGING: &str = "version: 1\nhandlers: {console: {class: logging.StreamHandler}}\n\
                       root: {level: WARNING, handlers: [console]}\n";

/// More than a benchmark makes of anything.
const NO_LIMIT: &str = "{per_second: 1000000, burst_count: 1000000}";

fn configuration(folder: &Path, client: SocketAddr, passwords: Passwords) -> String {
    let (ip, port) = (client.ip(), client.port());
    let folder = folder.display();
    let passwords = match passwords {
        Passwords::Default => "",
        Passwords::Cheap => "bcrypt_rounds: 4\n",
    };
    let limits: String =
        ["rc_message", "rc_registration", "rc_admin_redaction", "rc_3pid_validation", "rc_room_creation"]
            .map(|name| format!("{name}: {NO_LIMIT}\n"))
            .concat();
    format!(
        "server_name: bench.test\n\
         pid_file: {folder}/pid\n\
         listeners:\n  - {{port: {port}, type: http, bind_addresses: ['{ip}'], resources: [{{names: [client]}}]}}\n\
         database: {{name: sqlite3, args: {{database: {folder}/homeserver.db}}}}\n\
         log_config: {folder}/log.yaml\n\
         media_store_path: {folder}/media\n\
         signing_key_path: {folder}/signing.key\n\
         registration_shared_secret: benchmark\n\
         enable_registration: true\n\
         enable_registration_without_verification: true\n\
         report_stats: false\n\
         presence: {{enabled: false}}\n\
         trusted_key_servers: []\n\
         {limits}{passwords}\
         rc_login: {{address: {NO_LIMIT}, account: {NO_LIMIT}, failed_attempts: {NO_LIMIT}}}\n\
         rc_joins: {{local: {NO_LIMIT}, remote: {NO_LIMIT}}}\n\
         rc_joins_per_room: {NO_LIMIT}\n\
         rc_invites: {{per_room: {NO_LIMIT}, per_user: {NO_LIMIT}, per_issuer: {NO_LIMIT}}}\n"
    )
}

fn cache_folder() -> Result<PathBuf> {
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    Ok(cache.ok_or("neither XDG_CACHE_HOME nor HOME is set")?.join("axle-bench"))
}

fn succeed(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}\n{said}", output.status).into())
}
