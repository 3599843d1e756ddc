//! Whom users can ask for help, as the configuration says.

use ruma::OwnedUserId;
use ruma::api::client::discovery::discover_support::{Contact as RumaContact, ContactRole};
use serde::{Deserialize, Serialize};

/// Whom users can ask for help ("Server admin contact and support page" in Matrix's specification).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Support {
    /// The address of a page with help.
    pub page: Option<String>,
    /// Who runs the server.
    pub admins: Vec<Contact>,
    /// Who is to be told of what endangers it.
    pub security: Vec<Contact>,
}

/// Somebody who can be written to: a Matrix id (of any server), or a mail address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Contact(Address);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Matrix(OwnedUserId),
    Mail(String),
}

impl Support {
    /// The contacts, as clients get them.
    pub(crate) fn contacts(&self) -> Vec<RumaContact> {
        let admins = self.admins.iter().map(|contact| (ContactRole::Admin, contact));
        let security = self.security.iter().map(|contact| (ContactRole::Security, contact));
        let contact = |(role, contact): (ContactRole, &Contact)| match &contact.0 {
            Address::Matrix(user_id) => RumaContact::with_matrix_id(role, user_id.clone()),
            Address::Mail(address) => RumaContact::with_email_address(role, address.clone()),
        };
        admins.chain(security).map(contact).collect()
    }
}

impl TryFrom<String> for Contact {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
            return Err("there is a space in it".into());
        }
        if text.starts_with('@') {
            let user_id = OwnedUserId::try_from(text).map_err(|error| format!("not a Matrix id: {error}"))?;
            return Ok(Self(Address::Matrix(user_id)));
        }
        let is_mail = text.split_once('@').is_some_and(|(_, host)| !host.is_empty());
        if !is_mail {
            return Err("neither a Matrix id (@admin:example.org) nor a mail address".into());
        }
        Ok(Self(Address::Mail(text)))
    }
}

impl From<Contact> for String {
    fn from(contact: Contact) -> Self {
        match contact.0 {
            Address::Matrix(user_id) => user_id.into(),
            Address::Mail(address) => address,
        }
    }
}
