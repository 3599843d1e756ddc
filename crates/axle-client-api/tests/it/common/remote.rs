//! Other servers that tell what a test has them tell.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use axle_client_api::{NoRemoteFile, RemoteFile, RemoteServers, ResolvedAlias, RoomListQuery};
use axle_protocol::{MatrixError, RoomId, ServerName, UserId};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

/// The pieces of a file, and what it says of itself.
type File = (Vec<Result<Bytes, MatrixError>>, Option<String>);

/// A server that does not answer at all when it fails.
pub const GONE: &str = "gone.org";

/// Answers by question: `profile @a:b`, `alias #a:b`, `rooms b`, `hierarchy b !a:b`, `media b id`.
pub struct TestRemote {
    answers: Mutex<HashMap<String, Result<Value, MatrixError>>>,
    asked: Mutex<Vec<String>>,
    files: Mutex<HashMap<String, File>>,
    /// Files wait for a permit.
    pub gate: Semaphore,
}

impl Default for TestRemote {
    fn default() -> Self {
        Self {
            answers: Mutex::default(),
            asked: Mutex::default(),
            files: Mutex::default(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        }
    }
}

impl TestRemote {
    /// What a question is answered with from now on.
    pub fn answer(&self, question: &str, answer: Value) {
        self.answers.lock().unwrap().insert(question.into(), Ok(answer));
    }

    /// With what it fails.
    pub fn fail(&self, question: &str, error: MatrixError) {
        self.answers.lock().unwrap().insert(question.into(), Err(error));
    }

    /// The pieces of a file, and what it says of itself in `Content-Disposition`.
    pub fn file(&self, question: &str, pieces: Vec<Result<Bytes, MatrixError>>, disposition: Option<&str>) {
        self.files.lock().unwrap().insert(question.into(), (pieces, disposition.map(str::to_owned)));
        self.answer(question, json!({}));
    }

    /// A file of which nothing ever comes.
    pub fn stalling_file(&self, question: &str) {
        self.file(question, Vec::new(), Some("stalls"));
    }

    /// What was asked since the last look.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn ask(&self, question: String) -> Result<Map<String, Value>, MatrixError> {
        let answer = self.answers.lock().unwrap().get(&question).cloned();
        self.asked.lock().unwrap().push(question);
        match answer {
            Some(answer) => Ok(answer?.as_object().unwrap().clone()),
            None => Err(MatrixError::not_found("Nobody knows.")),
        }
    }
}

#[async_trait]
impl RemoteServers for TestRemote {
    async fn profile(&self, user_id: &UserId) -> Result<Map<String, Value>, MatrixError> {
        self.ask(format!("profile {user_id}"))
    }

    async fn alias(&self, server: &ServerName, alias: &str) -> Result<ResolvedAlias, MatrixError> {
        assert!(alias.ends_with(&format!(":{server}")));
        let answer = self.ask(format!("alias {alias}"))?;
        let servers = answer["servers"].as_array().unwrap().iter();
        Ok(ResolvedAlias {
            room_id: RoomId::parse(answer["room_id"].as_str().unwrap()).unwrap(),
            servers: servers.map(|server| ServerName::parse(server.as_str().unwrap()).unwrap()).collect(),
        })
    }

    async fn public_rooms(
        &self,
        server: &ServerName,
        query: &RoomListQuery,
    ) -> Result<Map<String, Value>, MatrixError> {
        let term = query.search_term.as_deref().map(|term| format!(" {term}")).unwrap_or_default();
        self.ask(format!("rooms {server}{term}"))
    }

    async fn hierarchy(
        &self,
        server: &ServerName,
        room_id: &RoomId,
        _suggested_only: bool,
    ) -> Result<Map<String, Value>, MatrixError> {
        self.ask(format!("hierarchy {server} {room_id}"))
    }

    async fn media(&self, server: &ServerName, media_id: &str, _wait: Duration) -> Result<RemoteFile, NoRemoteFile> {
        let question = format!("media {server} {media_id}");
        let is_server_gone = server.as_str() == GONE;
        self.ask(question.clone()).map_err(|error| NoRemoteFile { error, is_server_gone })?;
        self.gate.acquire().await.unwrap().forget();
        let (pieces, disposition) = self.files.lock().unwrap()[&question].clone();
        let content = match disposition.as_deref() {
            Some("stalls") => stream::pending().boxed(),
            _ => stream::iter(pieces).boxed(),
        };
        Ok(RemoteFile { content_type: Some("image/png".into()), disposition, content })
    }
}
