//! What encryption has to tell, as JSON lines.

use std::error::Error;
use std::io::Write;

use axle_sdk::encryption::Notice;
use serde_json::json;

use super::run::Script;
use super::tell;

impl<W: Write> Script<W> {
    pub(super) fn print_notice(&mut self, notice: Notice) -> Result<(), Box<dyn Error>> {
        match notice {
            Notice::Decrypted { room_id, event } => {
                self.list.room_mut(&room_id).map(|room| room.replace((*event).clone()));
                // It was printed when it could not be read yet.
                self.printed.entry(room_id.clone()).or_default().insert(event.event_id.clone());
                self.out.event(&room_id, &event)?;
            }
            Notice::Status { room_id, status } => self.out.encryption("encryption", tell::status(&room_id, &status))?,
            Notice::NewDevice { room_id, user_id, device_id } => {
                let what = json!({
                    "warning": "new_device", "room_id": room_id, "user_id": user_id, "device_id": device_id,
                });
                self.out.encryption("warning", what)?;
            }
            Notice::KeyChanged { user_id, device_id, was_verified } => {
                let what = json!({
                    "warning": "key_changed", "user_id": user_id, "device_id": device_id, "was_verified": was_verified,
                });
                self.out.encryption("warning", what)?;
            }
            Notice::Unpublished { room_id, user_id, device_id } => {
                let what = json!({
                    "warning": "unpublished_device", "room_id": room_id, "user_id": user_id, "device_id": device_id,
                });
                self.out.encryption("warning", what)?;
            }
            Notice::Misled { room_id, event_id, reason } => {
                let what = json!({ "warning": "misled", "room_id": room_id, "event_id": event_id, "reason": reason });
                self.out.encryption("warning", what)?;
            }
            Notice::PutBack { room_id } => {
                self.out.encryption("warning", json!({ "warning": "put_back", "room_id": room_id }))?;
            }
            Notice::Trouble { room_id, reason } => {
                self.out.encryption("trouble", json!({"room_id": room_id, "error": reason}))?;
            }
        }
        Ok(())
    }
}
