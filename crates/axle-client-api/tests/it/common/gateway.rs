//! A push gateway that keeps what it is told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axle_client_api::PushGateway;
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc, watch};

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Gateway {
    told: mpsc::UnboundedSender<(String, Value)>,
    notifications: Mutex<mpsc::UnboundedReceiver<(String, Value)>>,
    failures: AtomicUsize,
    failed: watch::Sender<usize>,
    /// What it answers.
    rejected: std::sync::Mutex<Vec<String>>,
}

impl Default for Gateway {
    fn default() -> Self {
        let (told, notifications) = mpsc::unbounded_channel();
        Self {
            told,
            notifications: Mutex::new(notifications),
            failures: AtomicUsize::new(0),
            failed: watch::Sender::new(0),
            rejected: std::sync::Mutex::default(),
        }
    }
}

impl Gateway {
    /// The next notification.
    pub async fn next(&self) -> Value {
        self.next_with_url().await.1
    }

    /// The next notification, with where it went.
    pub async fn next_with_url(&self) -> (String, Value) {
        let mut notifications = self.notifications.lock().await;
        let next = tokio::time::timeout(PATIENCE, notifications.recv()).await;
        next.unwrap().unwrap()
    }

    /// So many of the next notifications do not arrive.
    pub fn fail(&self, count: usize) {
        self.failures.store(count, Ordering::SeqCst);
    }

    /// Waits until so many have not arrived.
    pub async fn until_failed(&self, count: usize) {
        let mut failed = self.failed.subscribe();
        let enough = failed.wait_for(|failed| *failed >= count);
        tokio::time::timeout(PATIENCE, enough).await.unwrap().unwrap();
    }

    /// From now on these push keys are no good.
    pub fn reject(&self, pushkeys: &[&str]) {
        *self.rejected.lock().unwrap() = pushkeys.iter().map(|key| (*key).to_owned()).collect();
    }
}

#[async_trait]
impl PushGateway for Gateway {
    async fn notify(&self, url: &str, notification: Vec<u8>) -> Result<Vec<u8>, String> {
        let fails = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1));
        if fails.is_ok() {
            self.failed.send_modify(|failed| *failed += 1);
            return Err("told to fail".into());
        }
        let notification: Value = serde_json::from_slice(&notification).unwrap();
        // Before the test learns of it, and has something else answered.
        let answer = json!({"rejected": *self.rejected.lock().unwrap()}).to_string();
        self.told.send((url.to_owned(), notification["notification"].clone())).unwrap();
        Ok(answer.into_bytes())
    }
}
