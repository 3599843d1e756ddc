//! What this device leaves with its server: its object, KeyPackages, and one of last resort.

use std::collections::BTreeMap;

use axle_mls::CheckedKeyPackage;
use axle_mls::event::WelcomeContent;
use axle_protocol::base64;
use serde_json::{Map, Value, json};

use super::EncryptionError;
use super::books::DeviceBook;
use super::core::{Core, Result};
use super::engine::{Engine, is_definite, is_not_found};
use crate::Error;

/// KeyPackages that are left with the server.
const PACKAGES: u64 = 30;
/// With fewer than this, more are made.
pub(super) const FEW_PACKAGES: u64 = 15;
/// After how long the one of last resort is replaced, in seconds: well before the 84 days that it lasts. The others are
/// used up, or end on the server and are replaced then.
const LAST_RESORT_AGE_SECONDS: u64 = 28 * 24 * 60 * 60;

impl Engine {
    /// Has the server publish this device, if it did not take that yet.
    pub(super) async fn publish(&self) -> std::result::Result<(), Error> {
        let published = self.core().books.device()?.is_some_and(|book| book.published);
        if published { Ok(()) } else { self.upload(0, false).await }
    }

    pub(super) fn has_chores(&self) -> bool {
        let has_strange_packages = self.core().has_strange_packages();
        let mut chores = self.chores();
        let some = !chores.busy && (chores.keys.is_some() || chores.welcomes || has_strange_packages);
        chores.busy |= some;
        some
    }

    /// Leaves more KeyPackages, and sends Welcomes that wait.
    pub(super) async fn do_chores(&self) {
        let (keys, welcomes) = {
            let mut chores = self.chores();
            (chores.keys.take(), std::mem::take(&mut chores.welcomes))
        };
        if self.core().has_strange_packages()
            && let Err(error) = self.replace_packages().await
        {
            tracing::debug!(%error, "KeyPackages could not be replaced now");
        }
        if let Some((left, has_last_resort)) = keys
            && let Err(error) = self.upload(left, has_last_resort).await
        {
            // The next sync says again that there are too few.
            tracing::debug!(%error, "KeyPackages were not taken");
        }
        if welcomes {
            self.send_welcomes().await;
        }
        self.chores().busy = false;
    }

    /// Sends the Welcomes of commits that are in the log. Those that the server does not take now are sent later.
    pub(super) async fn send_welcomes(&self) {
        let outbox = self.core().books.outbox().unwrap_or_default();
        for welcome in outbox {
            let mut messages: BTreeMap<&str, BTreeMap<&str, &Map<String, Value>>> = BTreeMap::new();
            for (user, device) in &welcome.to {
                messages.entry(user).or_default().insert(device, &welcome.content);
            }
            let (kind, transaction) = (WelcomeContent::MESSAGE_TYPE, &welcome.transaction_id);
            match self.server.send_to_device(kind, transaction, &json!(messages)).await {
                Err(error) if !is_definite(&error) => {
                    tracing::debug!(%error, "a Welcome could not be sent now");
                    self.chores().welcomes = true;
                }
                outcome => {
                    if let Err(error) = outcome {
                        tracing::debug!(%error, room = welcome.room_id, "a Welcome was refused");
                    }
                    // If that is not noted, it is sent again under the same transaction.
                    self.core().books.drop_from_outbox(transaction).ok();
                }
            }
        }
    }

    /// Leaves other KeyPackages in the place of all that the server has: of some, the private half may not be here.
    async fn replace_packages(&self) -> std::result::Result<(), Error> {
        match self.server.list_keys().await {
            Ok(left) => self.server.withdraw_keys(&Value::Object(left)).await?,
            // A server that gives nothing back. Who is added with one of those comes in by itself.
            Err(error) if is_not_found(&error) => {}
            Err(error) => return Err(error),
        }
        self.upload(0, false).await?;
        Ok(self.core().note_strange_packages(false)?)
    }

    async fn upload(&self, left: u64, has_last_resort: bool) -> std::result::Result<(), Error> {
        let _one_at_a_time = self.uploads.lock().await;
        let body = self.core().unit(|core| core.packages(left, has_last_resort))?;
        let outcome = self.server.upload_keys(&body).await;
        let mut core = self.core();
        match outcome {
            Ok(()) => Ok(core.note_upload(true)?),
            Err(error) => {
                // What the server does not want, it will not want later either.
                if is_definite(&error) {
                    core.note_upload(false)?;
                }
                Err(error)
            }
        }
    }
}

impl Core {
    pub(super) fn last_resort_is_old(&self) -> bool {
        let made = self.books.device().ok().flatten().map_or(0, |book| book.last_resort_at);
        self.now().saturating_sub(made) > LAST_RESORT_AGE_SECONDS
    }

    pub(super) fn has_strange_packages(&self) -> bool {
        self.books.device().ok().flatten().is_some_and(|book| book.has_strange_packages)
    }

    pub(super) fn note_strange_packages(&self, has_strange_packages: bool) -> Result<()> {
        let book = self.device_book()?;
        self.books.keep_device(&DeviceBook { has_strange_packages, ..book })
    }

    /// Makes what the server lacks; the body of the upload. What an upload of before did not bring there is in it.
    fn packages(&mut self, left: u64, has_last_resort: bool) -> Result<Value> {
        let mut book = self.device_book()?;
        let made = u64::try_from(book.one_time.len()).unwrap_or(u64::MAX);
        for _ in left.saturating_add(made)..PACKAGES {
            let (id, package) = self.package(false)?;
            book.one_time.insert(id, package);
        }
        if (!has_last_resort || self.last_resort_is_old()) && book.last_resort.is_empty() {
            let (id, package) = self.package(true)?;
            book.last_resort.insert(id, package);
        }
        self.books.keep_device(&book)?;
        let mut body = json!({ "one_time_keys": book.one_time, "fallback_keys": book.last_resort });
        if !book.published {
            let object = serde_json::from_str(self.member.device_info().json());
            body["device_keys"] = object.map_err(|_| EncryptionError::Answer("the own device object"))?;
        }
        Ok(body)
    }

    fn package(&mut self, last_resort: bool) -> Result<(String, String)> {
        let bytes = self.member.key_package(last_resort)?;
        let checked = CheckedKeyPackage::parse(&bytes).map_err(|_| EncryptionError::Answer("the own KeyPackage"))?;
        Ok((checked.key_id(), base64::encode(&bytes)))
    }

    fn note_upload(&mut self, taken: bool) -> Result<()> {
        let mut book = self.device_book()?;
        if taken {
            book.published = true;
            if !book.last_resort.is_empty() {
                book.last_resort_at = self.now();
            }
        }
        book.one_time.clear();
        book.last_resort.clear();
        self.books.keep_device(&book)
    }

    fn device_book(&self) -> Result<DeviceBook> {
        self.books.device()?.ok_or(EncryptionError::OtherDevice)
    }
}
