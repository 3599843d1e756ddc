//! Application services: their registration files, and requests to them.

mod client;
mod registration;

use std::path::PathBuf;

use axle_client_api::{ApplicationService, ApplicationServices};
use axle_protocol::ServerName;

pub(crate) use client::HttpServices;

/// A registration file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the registration file {file}: {problem}")]
pub struct RegistrationError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong, and in which field.
    pub problem: String,
}

/// Reads registration files. What two of them claim for themselves alone is refused.
pub fn load(files: &[PathBuf], server_name: &ServerName) -> Result<ApplicationServices, RegistrationError> {
    let mut services: Vec<(PathBuf, ApplicationService, Vec<String>)> = Vec::new();
    for file in files {
        let refused = |problem: String| RegistrationError { file: file.clone(), problem };
        let text = std::fs::read_to_string(file).map_err(|error| refused(format!("cannot be read: {error}")))?;
        let registration = registration::parse(&text, server_name).map_err(refused)?;
        for (other, known, reserved) in &services {
            if let Some(problem) = conflict(&registration, (known, reserved)) {
                return Err(refused(format!("{problem} in {}", other.display())));
            }
        }
        let registration::Parsed { service, reserved } = registration;
        services.push((file.clone(), service, reserved));
    }
    Ok(ApplicationServices::new(services.into_iter().map(|(_, service, _)| service).collect()))
}

/// What a registration has that another has already.
fn conflict(new: &registration::Parsed, (known, reserved): (&ApplicationService, &[String])) -> Option<String> {
    let registration::Parsed { service, reserved: wanted } = new;
    if service.id == known.id {
        return Some(format!("id: {:?} is the id of the service", known.id));
    }
    if [&known.as_token, &known.hs_token].contains(&&service.as_token) {
        return Some("as_token: the same token is".into());
    }
    if [&known.as_token, &known.hs_token].contains(&&service.hs_token) {
        return Some("hs_token: the same token is".into());
    }
    if known.reserves_user(&service.sender) || service.reserves_user(&known.sender) {
        return Some("sender_localpart, namespaces.users: the user of one service belongs to the other alone".into());
    }
    let shared = wanted.iter().find(|pattern| reserved.contains(pattern))?;
    Some(format!("namespaces: the exclusive namespace {shared} is"))
}
