//! What encryption tells.

use axle_sdk::encryption::Notice as Told;

use super::{App, Notice};
use crate::commands::chat::lines;

impl App {
    pub(super) fn handle_told(&mut self, told: Told) {
        let warning = match told {
            Told::Decrypted { room_id, event } => {
                self.list.room_mut(&room_id).map(|room| room.replace(*event));
                return;
            }
            Told::Status { room_id, status } => {
                self.encryption.insert(room_id, status);
                return;
            }
            Told::NewDevice { room_id, user_id, device_id } => {
                format!(
                    "{user_id} has a new device in {}: {device_id}; /devices shows its code",
                    self.title_of(&room_id)
                )
            }
            Told::KeyChanged { user_id, device_id, was_verified: true } => format!(
                "THE KEY OF {user_id} {device_id}, WHICH YOU HAVE VERIFIED, IS ANOTHER ONE NOW: somebody may be reading \
                 along. Compare its code again, /devices"
            ),
            Told::KeyChanged { user_id, device_id, was_verified: false } => {
                format!("the device {device_id} of {user_id} has another key than before; /devices shows its code")
            }
            Told::Unpublished { room_id, user_id, device_id } => format!(
                "the server of {user_id} does not know the device {device_id}, which can read {}",
                self.title_of(&room_id)
            ),
            Told::Misled { room_id, reason, .. } => format!(
                "NOT EVERYBODY IN {} IS SHOWN THE SAME ROOM: {}. Nothing is sent there any more; ask the others what they \
                 see, and /proceed if all is well",
                self.title_of(&room_id),
                lines::clean(&reason)
            ),
            Told::PutBack { room_id } => format!(
                "THE KEYS OF THIS DEVICE ARE AN OLDER COPY: it has said things in {} that they know nothing of. It takes new \
                 keys before it sends. If you have not put back a backup, somebody else uses this device: log it out",
                self.title_of(&room_id)
            ),
            Told::Trouble { room_id, reason } => {
                let room = room_id.map(|id| format!(" in {}", self.title_of(&id))).unwrap_or_default();
                format!("encryption{room}: {reason}")
            }
        };
        self.notice = Some(Notice::Error(warning));
    }

    fn title_of(&self, room_id: &str) -> String {
        self.list.room(room_id).map_or_else(|| room_id.to_owned(), |room| lines::clean(&room.title()))
    }
}
