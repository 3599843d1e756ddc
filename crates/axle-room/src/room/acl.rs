//! Who may speak in the room at all: its server ACL. It is about servers and what they ask for or bring, not about
//! events: what a server let in that is allowed, others take.

use axle_protocol::event::Template;
use axle_protocol::{ServerAcl, ServerName};

use super::Room;
use super::change::Refusal;

impl Room {
    /// Refuses a server, by its name, that the room's server ACL keeps out. To be asked before anything else that another
    /// server wants of the room; not of what is asked or done for our own users.
    ///
    /// Of a room that this server is no longer in, the ACL is that of then.
    pub fn check_server(&self, server: &str) -> Result<(), Refusal> {
        match self.state.server_acl() {
            Some(acl) if !acl.allows(server) => {
                Err(Refusal::Forbidden(format!("the room's server ACL does not allow {server}")))
            }
            _ => Ok(()),
        }
    }

    /// Whether the room's server ACL keeps this server out, so that its hub takes nothing of our users any more.
    pub fn keeps_us_out(&self) -> bool {
        self.check_server(self.us.as_str()).is_err()
    }

    /// Refuses a server ACL of one of our users that would keep out this server or the hub: those who are kept out by it
    /// could not undo it, and without its hub nobody could.
    pub(super) fn check_new_acl(&self, template: &Template) -> Result<(), Refusal> {
        if template.event_type != ServerAcl::EVENT_TYPE || template.state_key.as_deref() != Some("") {
            return Ok(());
        }
        let acl = ServerAcl::from_content(&template.content);
        let needed = [Some(self.us.clone()), self.hub()];
        let lost = |server: &&ServerName| !acl.allows(server.as_str());
        match needed.iter().flatten().find(lost) {
            Some(server) => Err(Refusal::Unfit(format!("this server ACL would keep {server} itself out of the room"))),
            None => Ok(()),
        }
    }
}
