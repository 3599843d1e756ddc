//! Sending, encrypted where the room is.

use axle_mls::Layering;
use axle_mls::event::EncryptedContent;
use axle_protocol::RoomId;
use serde_json::{Map, Value};

use super::books::OwnMessage;
use super::engine::{Engine, MAX_TRIES, is_definite, is_stale, refusal_of, refused};
use super::incoming::Plaintext;
use super::rooms::Cipher;
use super::{EncryptionError, RoomStatus, TRY_MARK};
use crate::Error;
use crate::attachment::{EncryptedFile, NewFile, OCTET_STREAM, Source, message_content};

impl Engine {
    pub(super) async fn send(
        &self,
        room_id: &str,
        event_type: &str,
        content: &Map<String, Value>,
        transaction_id: &str,
    ) -> Result<String, Error> {
        let id = super::parse_room(room_id)?;
        if self.encryption_of(&id).await?.is_none() {
            return self.server.send(room_id, event_type, content, transaction_id).await;
        }
        // Who has come and is for this device to add should be able to read it.
        drop(self.lock(&id).await);
        let needs_work = {
            let mut core = self.core();
            core.room(&id).work || !core.is_in(&id)?
        };
        if needs_work && let Err(error) = self.tend_now(&id).await {
            // What is amiss with others need not keep this device from speaking.
            if !self.core().is_in(&id)? {
                return Err(error);
            }
            tracing::debug!(%error, room = %id, "sends to the group as it is");
        }
        self.core().check_not_misled(&id)?;
        let mut refusal = String::new();
        for tries in 0..MAX_TRIES {
            self.freshen(&id).await?;
            let message = self.encrypt(&id, event_type, content)?;
            let transaction = match tries {
                0 => transaction_id.to_owned(),
                tries => format!("{transaction_id}{TRY_MARK}{tries}"),
            };
            let kind = EncryptedContent::EVENT_TYPE;
            let error = match self.server.send(room_id, kind, &message.to_content(), &transaction).await {
                Ok(event_id) => return Ok(event_id),
                Err(error) => error,
            };
            // If it may be there all the same, it has to be known when it comes back.
            if is_definite(&error) {
                self.core().books.drop_own(&id, &message)?;
            }
            let Some(code) = refusal_of(&error) else { return Err(error) };
            refusal = code.to_owned();
            tracing::debug!(code, room = %id, "a message was refused");
            if is_stale(&refusal) || refusal == "NOT_A_MEMBER" {
                let mut core = self.core();
                (core.room(&id).behind, core.room(&id).asked) = (true, 0);
            }
            tokio::time::sleep(self.pause(tries)).await;
            self.tend_now(&id).await?;
        }
        Err(refused(refusal))
    }

    /// Sends a file. Where the room is encrypted, the server that keeps it learns its size and nothing else.
    pub(super) async fn send_file(&self, room_id: &str, file: NewFile, transaction_id: &str) -> Result<String, Error> {
        let id = super::parse_room(room_id)?;
        let NewFile { name, mimetype, bytes } = file;
        let size = bytes.len();
        let source = if self.encryption_of(&id).await?.is_some() {
            let (sealed, file) = EncryptedFile::encrypt(bytes)?;
            Source::Encrypted(file.at(self.server.upload(sealed, OCTET_STREAM, None).await?))
        } else {
            Source::Plain(self.server.upload(bytes, &mimetype, Some(&name)).await?)
        };
        let content = message_content(&name, &mimetype, size, &source);
        self.send(room_id, "m.room.message", &content, transaction_id).await
    }

    /// How a room is encrypted. Fails where this device must not send at all.
    pub(super) async fn encryption_of(&self, id: &RoomId) -> Result<Option<Layering>, Error> {
        if self.core().room(id).cipher.is_none() {
            let content = self.server.create_content(id.as_str()).await?;
            self.core().room(id).cipher = Some(Cipher::of_create(&content));
        }
        let status = self.core().status(id)?;
        match status {
            Some(RoomStatus::Encrypted(group)) => Ok(Some(group.layering)),
            Some(RoomStatus::Unknown(what)) => Err(EncryptionError::UnknownEncryption(what).into()),
            Some(RoomStatus::Plain) | None => Ok(None),
        }
    }

    /// Encrypts, and keeps what was said: this device cannot decrypt it itself.
    fn encrypt(
        &self,
        id: &RoomId,
        event_type: &str,
        content: &Map<String, Value>,
    ) -> Result<EncryptedContent, EncryptionError> {
        let (event_type, content) = (event_type.to_owned(), content.clone());
        let plaintext = Plaintext { event_type, content, room_id: id.to_string() };
        let bytes = serde_json::to_vec(&plaintext).map_err(|_| EncryptionError::Answer("the message"))?;
        self.core().unit(|core| {
            if !core.is_in(id)? {
                return Err(EncryptionError::NotInGroup);
            }
            if core.is_stale(id)? {
                return Err(EncryptionError::PutBack);
            }
            let message = core.member.encrypt(id, &bytes)?;
            let epoch = core.member.epoch(id)?;
            let own = OwnMessage { event_type: plaintext.event_type, content: plaintext.content, epoch };
            core.books.keep_own(id, &message, &own)?;
            Ok(message)
        })
    }
}
