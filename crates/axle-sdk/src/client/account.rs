//! Accounts: versions, register, login, logout, whoami, profile.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Client;
use super::request::Call;
use crate::{ApiError, Error, Session};

/// The most steps that a registration may ask for.
const MAX_REGISTRATION_STEPS: usize = 5;

/// A new account.
#[derive(Debug, Clone, Default)]
pub struct Registration {
    /// The part of the user id before the server.
    pub localpart: String,
    /// Its password.
    pub password: String,
    /// For servers that ask for a registration token.
    pub token: Option<String>,
    /// What the device is called.
    pub device_name: Option<String>,
}

/// Whom an access token belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct WhoAmI {
    /// Who.
    pub user_id: String,
    /// With which device.
    #[serde(default)]
    pub device_id: Option<String>,
}

/// What others see of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub displayname: Option<String>,
    /// `mxc://` address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
}

#[derive(Deserialize)]
struct LoggedIn {
    user_id: String,
    #[serde(default)]
    device_id: String,
    access_token: String,
}

/// The part of a 401 answer that says how registration goes on.
#[derive(Deserialize)]
struct InteractiveAuth {
    session: Option<String>,
    flows: Vec<Flow>,
    #[serde(default)]
    completed: Vec<String>,
}

#[derive(Deserialize)]
struct Flow {
    stages: Vec<String>,
}

impl Client {
    /// The versions of the API that the server speaks.
    pub async fn versions(&self) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct Versions {
            versions: Vec<String>,
        }
        Ok(self.call::<Versions>(Call::get(&["versions"]).anonymous()).await?.versions)
    }

    /// Logs in with a password; `user` is a localpart or a whole user id.
    pub async fn login(&self, user: &str, password: &str, device_name: &str) -> Result<Session, Error> {
        let body = json!({
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": user},
            "password": password,
            "initial_device_display_name": device_name,
        });
        let answer: LoggedIn = self.call(Call::post(&["v3", "login"], body).anonymous()).await?;
        Ok(self.begin_session(answer))
    }

    /// Creates an account and logs in. Takes the steps that the server asks for: none, a dummy, or a token.
    pub async fn register(&self, registration: &Registration) -> Result<Session, Error> {
        let mut body = json!({"username": registration.localpart, "password": registration.password});
        if let Some(name) = &registration.device_name {
            body["initial_device_display_name"] = json!(name);
        }
        for _ in 0..MAX_REGISTRATION_STEPS {
            let call = Call::post(&["v3", "register"], body.clone()).anonymous();
            match self.call::<LoggedIn>(call).await {
                Ok(answer) => return Ok(self.begin_session(answer)),
                Err(Error::Api(error)) if is_interactive(&error) => {
                    body["auth"] = next_step(&error, registration.token.as_deref())?;
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::RegistrationStep(vec!["too many steps".to_owned()]))
    }

    /// Ends the session.
    pub async fn logout(&self) -> Result<(), Error> {
        self.call::<Value>(Call::post(&["v3", "logout"], json!({}))).await?;
        self.set_session(None);
        Ok(())
    }

    /// Whom the session belongs to, as the server sees it.
    pub async fn whoami(&self) -> Result<WhoAmI, Error> {
        self.call(Call::get(&["v3", "account", "whoami"])).await
    }

    /// A user's profile.
    pub async fn profile(&self, user_id: &str) -> Result<Profile, Error> {
        self.call(Call::get(&["v3", "profile", user_id])).await
    }

    /// Sets the own display name.
    pub async fn set_displayname(&self, displayname: &str) -> Result<(), Error> {
        let user_id = self.user_id()?;
        let path = ["v3", "profile", &user_id, "displayname"];
        self.call::<Value>(Call::put(&path, json!({"displayname": displayname})).repeatable()).await.map(drop)
    }

    fn begin_session(&self, answer: LoggedIn) -> Session {
        let LoggedIn { user_id, device_id, access_token } = answer;
        let (server, ca_certificates) = (self.server().to_owned(), self.inner.ca_certificates.clone());
        // Without one, the device can have no keys; the caller says so when it wants some.
        let store_secret = Session::new_store_secret().ok();
        let session = Session { server, user_id, device_id, access_token, ca_certificates, store_secret };
        self.set_session(Some(session.clone()));
        session
    }
}

fn is_interactive(error: &ApiError) -> bool {
    error.status == 401 && error.body.contains_key("flows")
}

/// The `auth` object of the next try.
fn next_step(error: &ApiError, token: Option<&str>) -> Result<Value, Error> {
    let state: InteractiveAuth =
        serde_json::from_value(Value::Object(error.body.clone())).map_err(|_| Error::Api(error.clone()))?;
    // A step was taken and refused: the error says why.
    if error.body.contains_key("errcode") && error.errcode != "M_UNAUTHORIZED" {
        return Err(error.clone().into());
    }
    let can = |stage: &str| stage == "m.login.dummy" || (stage == "m.login.registration_token" && token.is_some());
    let remaining = |flow: &Flow| -> Vec<String> {
        flow.stages.iter().filter(|stage| !state.completed.contains(stage)).cloned().collect()
    };
    let flows: Vec<Vec<String>> = state.flows.iter().map(remaining).collect();
    let Some(stage) = flows.iter().find(|stages| stages.iter().all(|stage| can(stage))).and_then(|flow| flow.first())
    else {
        return Err(Error::RegistrationStep(flows.into_iter().flatten().filter(|stage| !can(stage)).collect()));
    };
    let mut auth = Map::new();
    auth.insert("type".to_owned(), json!(stage));
    if let Some(session) = state.session {
        auth.insert("session".to_owned(), json!(session));
    }
    if stage == "m.login.registration_token" {
        auth.insert("token".to_owned(), json!(token));
    }
    Ok(Value::Object(auth))
}
