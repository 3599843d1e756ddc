//! Servers of the web that answer what a test has them answer.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use axle_client_api::{Web, WebAnswer};
use bytes::Bytes;
use tokio::sync::Semaphore;

/// Answers by URL.
pub struct TestWeb {
    answers: Mutex<HashMap<String, WebAnswer>>,
    asked: Mutex<Vec<String>>,
    /// Answers wait for a permit.
    pub gate: Semaphore,
}

impl Default for TestWeb {
    fn default() -> Self {
        Self { answers: Mutex::default(), asked: Mutex::default(), gate: Semaphore::new(Semaphore::MAX_PERMITS) }
    }
}

impl TestWeb {
    /// What is at a URL from now on.
    pub fn put(&self, url: &str, content_type: &str, body: impl Into<Bytes>) {
        let content_type = Some(content_type.to_owned());
        self.answer(url, WebAnswer { content_type, body: body.into(), ..answer(200) });
    }

    /// A redirect.
    pub fn redirect(&self, url: &str, to: &str) {
        self.answer(url, WebAnswer { location: Some(to.into()), ..answer(302) });
    }

    pub fn answer(&self, url: &str, answer: WebAnswer) {
        self.answers.lock().unwrap().insert(url.into(), answer);
    }

    /// What was asked since the last look.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// An answer with this status and nothing in it.
pub fn answer(status: u16) -> WebAnswer {
    WebAnswer { status, location: None, content_type: None, content_encoding: None, body: Bytes::new(), is_whole: true }
}

#[async_trait]
impl Web for TestWeb {
    async fn get(&self, url: &str, _accept: &'static str, max_bytes: usize) -> Result<WebAnswer, String> {
        self.asked.lock().unwrap().push(url.to_owned());
        self.gate.acquire().await.unwrap().forget();
        let answer = self.answers.lock().unwrap().get(url).cloned();
        let mut answer = answer.ok_or("nobody is there")?;
        answer.is_whole = answer.body.len() <= max_bytes;
        answer.body.truncate(max_bytes);
        Ok(answer)
    }
}
