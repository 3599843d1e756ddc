//! Whose chat it is: a remembered session, a login or a new account.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use axle_sdk::{Client, Registration, RetryPolicy, Session, SessionFile};
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};

use super::Args;
use super::account::forget_keys;

/// The step of a registration that takes a token.
const TOKEN_STEP: &str = "m.login.registration_token";
const DEVICE_NAME: &str = "axle chat";
/// How long commands other than messages are tried again.
const PATIENCE: RetryPolicy = RetryPolicy { give_up_after: Duration::from_secs(20) };

/// A client with a session, remembered for the next time, and where.
pub(super) async fn client(args: &Args) -> Result<(Client, SessionFile), Box<dyn Error>> {
    let files = Files::new(args)?;
    if !args.register
        && let Some(file) = files.remembered(args)?
        && let Some(session) = file.load()?
    {
        check_whose(&session, args)?;
        let client = Client::resume(session)?.with_retry(PATIENCE);
        // With a password at hand, a session that is over begins anew.
        if args.password.is_none() || client.whoami().await.is_ok() {
            return Ok((client, file));
        }
    }
    let (Some(server), Some(user)) = (&args.server, &args.user) else {
        return Err(
            "nobody is logged in here; give --server URL and --user NAME, and --register for a new account".into()
        );
    };
    let client = connect(args, server)?;
    let password = match &args.password {
        Some(password) => password.clone(),
        None => ask_password(user, args.register)?,
    };
    let session = if args.register {
        let registration = Registration {
            localpart: localpart(user).to_owned(),
            password,
            token: args.token.clone(),
            device_name: Some(DEVICE_NAME.to_owned()),
        };
        client.register(&registration).await.map_err(|error| explained(error, args))?
    } else {
        client.login(user, &password, DEVICE_NAME).await?
    };
    let file = files.of(args, &session.user_id);
    // Those of a session of before are another device's.
    forget_keys(file.path())?;
    file.save(&session)?;
    files.remember(&file)?;
    Ok((client.with_retry(PATIENCE), file))
}

/// Nobody is to speak as somebody else because a file is another one than they thought.
fn check_whose(session: &Session, args: &Args) -> Result<(), Box<dyn Error>> {
    let is_user = |user: &String| match user.contains(':') {
        true => user.trim_start_matches('@') == session.user_id.trim_start_matches('@'),
        false => localpart(user) == localpart(&session.user_id),
    };
    let is_server = |server: &String| server.trim_end_matches('/') == session.server.trim_end_matches('/');
    if args.user.as_ref().is_none_or(is_user) && args.server.as_ref().is_none_or(is_server) {
        return Ok(());
    }
    let (user, server) = (&session.user_id, &session.server);
    Err(format!(
        "the session that is kept here is of {user} at {server}\n  \
         Leave out --user and --server to go on with it, or name another file with --session"
    )
    .into())
}

/// What a person can do about a refused registration.
fn explained(error: axle_sdk::Error, args: &Args) -> Box<dyn Error> {
    match &error {
        axle_sdk::Error::RegistrationStep(steps)
            if args.token.is_none() && steps.iter().any(|step| step == TOKEN_STEP) =>
        {
            "this server registers people with a token only: ask its operator for one, and give --token TOKEN".into()
        }
        _ => error.into(),
    }
}

/// Ends the remembered session.
pub(super) async fn log_out(args: &Args) -> Result<(), Box<dyn Error>> {
    let files = Files::new(args)?;
    let Some(file) = files.remembered(args)? else { return Err("nobody is logged in here".into()) };
    let session = file.load()?.ok_or("nobody is logged in here")?;
    let outcome = Client::resume(session)?.with_retry(PATIENCE).logout().await;
    match outcome {
        Err(error) if !error.is_logged_out() => return Err(error.into()),
        _ => file.remove()?,
    }
    Ok(forget_keys(file.path())?)
}

fn connect(args: &Args, server: &str) -> Result<Client, Box<dyn Error>> {
    // A wrong address should be said at once.
    let mut builder = Client::builder(server).retry(RetryPolicy::NEVER);
    if let Some(path) = &args.ca {
        let pem = std::fs::read_to_string(path).map_err(|error| format!("--ca {}: {error}", path.display()))?;
        builder = builder.ca_certificate(pem);
    }
    Ok(builder.build()?)
}

fn localpart(user: &str) -> &str {
    let bare = user.strip_prefix('@').unwrap_or(user);
    bare.split_once(':').map_or(bare, |(local, _)| local)
}

/// Where sessions are kept.
struct Files {
    folder: PathBuf,
}

impl Files {
    fn new(args: &Args) -> Result<Self, Box<dyn Error>> {
        if args.session.is_some() {
            return Ok(Self { folder: PathBuf::new() });
        }
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local").join("state")));
        let state = state.ok_or("HOME is not set; say with --session FILE where to keep the session")?;
        Ok(Self { folder: state.join("axle").join("chat") })
    }

    /// The session to go on with: that of --session, of --user at --server, or the last one.
    fn remembered(&self, args: &Args) -> Result<Option<SessionFile>, Box<dyn Error>> {
        if let Some(path) = &args.session {
            return Ok(Some(SessionFile::new(path)));
        }
        let Some(user) = &args.user else {
            return match std::fs::read_to_string(self.folder.join("last")) {
                Ok(name) => Ok(Some(SessionFile::new(self.folder.join(name.trim())))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error.into()),
            };
        };
        let Some(server) = &args.server else { return Ok(Some(self.of(args, user))) };
        let file = self.of_login(localpart(user), server);
        Ok(Some(file))
    }

    /// The file of a new session.
    fn of(&self, args: &Args, user_id: &str) -> SessionFile {
        match (&args.session, &args.server) {
            (Some(path), _) => SessionFile::new(path),
            (None, Some(server)) => self.of_login(localpart(user_id), server),
            (None, None) => self.of_login(localpart(user_id), ""),
        }
    }

    /// One file a user and server. The name is made of what was typed, so that it is found before the login.
    fn of_login(&self, localpart: &str, server: &str) -> SessionFile {
        let server = server.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
        let safe = |text: &str| text.replace(|c: char| !(c.is_ascii_alphanumeric() || ".-_=".contains(c)), "_");
        SessionFile::new(self.folder.join(format!("{}@{}.json", safe(localpart), safe(server))))
    }

    fn remember(&self, file: &SessionFile) -> io::Result<()> {
        if self.folder.as_os_str().is_empty() {
            return Ok(());
        }
        let name = file.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        std::fs::write(self.folder.join("last"), name)
    }
}

/// Asks without showing what is typed.
#[allow(clippy::print_stderr, reason = "a question to the person at the terminal")]
fn ask_password(user: &str, new: bool) -> Result<String, Box<dyn Error>> {
    if !io::stdin().is_terminal() {
        return Err("no terminal to ask for the password; give --password or set AXLE_PASSWORD".into());
    }
    eprint!("{} for {user}: ", if new { "New password" } else { "Password" });
    io::stderr().flush()?;
    enable_raw_mode()?;
    let password = read_hidden();
    disable_raw_mode()?;
    eprintln!();
    let password = password?.ok_or("no password given")?;
    if password.is_empty() { Err("an empty password will not do".into()) } else { Ok(password) }
}

fn read_hidden() -> io::Result<Option<String>> {
    let mut text = String::new();
    loop {
        let Event::Key(key) = read()? else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match key.code {
            KeyCode::Enter => return Ok(Some(text)),
            KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(None),
            KeyCode::Char(c) => text.push(c),
            KeyCode::Backspace => drop(text.pop()),
            _ => {}
        }
    }
}
