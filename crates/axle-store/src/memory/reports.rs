//! Reports.

use async_trait::async_trait;

use super::MemoryStore;
use crate::{KeptReport, MAX_REPORTS_PER_USER, Report, Reports, StoreError};

#[async_trait]
impl Reports for MemoryStore {
    async fn put_report(&self, report: Report) -> Result<(), StoreError> {
        self.write(move |data| {
            let is_own = |other: &KeptReport| other.report.reporter == report.reporter;
            let own = data.reports.iter().filter(|other| is_own(other)).count();
            if own >= MAX_REPORTS_PER_USER
                && let Some(oldest) = data.reports.iter().position(is_own)
            {
                data.reports.remove(oldest);
            }
            data.last_report += 1;
            data.reports.push(KeptReport { id: data.last_report, report });
            Ok(())
        })
        .await
    }

    async fn reports(&self) -> Result<Vec<KeptReport>, StoreError> {
        Ok(self.lock().data.reports.clone())
    }

    async fn report(&self, id: i64) -> Result<Option<KeptReport>, StoreError> {
        Ok(self.lock().data.reports.iter().find(|kept| kept.id == id).cloned())
    }

    async fn remove_report(&self, id: i64) -> Result<bool, StoreError> {
        self.write(move |data| {
            let before = data.reports.len();
            data.reports.retain(|kept| kept.id != id);
            Ok(data.reports.len() < before)
        })
        .await
    }
}
