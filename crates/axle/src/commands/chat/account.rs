//! Who chats: a client with a session, and this device's keys where the server knows encrypted rooms.

use std::error::Error;
use std::path::{Path, PathBuf};

use axle_sdk::encryption::{FileStore, KeyPlace, Notice};
use axle_sdk::{Client, Encryption, EncryptionError, Session, SessionFile};
use tokio::sync::mpsc::UnboundedReceiver;

/// Who chats.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) client: Client,
    /// `None`: nothing is encrypted, or can be read that is.
    pub(crate) encryption: Option<Encryption>,
}

/// An account that has just begun.
pub(super) struct Opened {
    pub(super) account: Account,
    /// What encryption has to tell.
    pub(super) notices: Option<UnboundedReceiver<Notice>>,
    /// Why nothing is encrypted, for people.
    pub(super) plain_because: Option<String>,
}

impl Opened {
    /// Opens the keys of a session, which lie beside its file.
    pub(super) async fn open(client: Client, file: &SessionFile) -> Result<Self, Box<dyn Error>> {
        let place = key_path(file.path());
        // Who has keys made them for this server, which may be away now.
        if !place.exists() && !client.supports_encrypted_rooms().await? {
            let because = "this server does not know encrypted rooms: nothing is encrypted";
            return Ok(Self::plain(client, because.to_owned()));
        }
        let session = with_secret(&client, file)?;
        let place = KeyPlace { path: place, secret: session.store_secret()? };
        match Encryption::open(client.clone(), &session.user_id, &session.device_id, &place).await {
            Ok((encryption, notices)) => {
                let account = Account { client, encryption: Some(encryption) };
                Ok(Self { account, notices: Some(notices), plain_because: None })
            }
            Err(axle_sdk::Error::Encryption(EncryptionError::DeviceId(id))) => {
                Ok(Self::plain(client, EncryptionError::DeviceId(id).to_string()))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn plain(client: Client, because: String) -> Self {
        Self { account: Account { client, encryption: None }, notices: None, plain_because: Some(because) }
    }
}

/// What encryption has to tell next; without encryption, never.
pub(super) async fn next_notice(notices: &mut Option<UnboundedReceiver<Notice>>) -> Notice {
    match notices {
        Some(receiver) => match receiver.recv().await {
            Some(notice) => notice,
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

/// Forgets the keys of a session that is over.
pub(super) fn forget_keys(session: &Path) -> std::io::Result<()> {
    FileStore::remove(&key_path(session))
}

/// Sessions of before there were keys have no secret yet.
fn with_secret(client: &Client, file: &SessionFile) -> Result<Session, Box<dyn Error>> {
    let mut session = client.session().ok_or(axle_sdk::Error::NotLoggedIn)?;
    if session.store_secret.is_none() {
        // Nobody can open what may lie there.
        forget_keys(file.path())?;
        session.store_secret = Some(Session::new_store_secret()?);
        file.save(&session)?;
        client.restore(session.clone());
    }
    Ok(session)
}

/// Where the keys of a session lie.
pub(crate) fn key_path(session: &Path) -> PathBuf {
    let mut name = session.as_os_str().to_owned();
    name.push(".keys");
    name.into()
}
