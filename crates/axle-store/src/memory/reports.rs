//! Reports.

use async_trait::async_trait;

use super::MemoryStore;
use crate::{MAX_REPORTS_PER_USER, Report, Reports, StoreError};

#[async_trait]
impl Reports for MemoryStore {
    async fn put_report(&self, report: Report) -> Result<(), StoreError> {
        self.write(move |data| {
            let own = data.reports.iter().filter(|other| other.reporter == report.reporter).count();
            if own >= MAX_REPORTS_PER_USER
                && let Some(oldest) = data.reports.iter().position(|other| other.reporter == report.reporter)
            {
                data.reports.remove(oldest);
            }
            data.reports.push(report);
            Ok(())
        })
        .await
    }

    async fn reports(&self) -> Result<Vec<Report>, StoreError> {
        Ok(self.lock().data.reports.clone())
    }
}
