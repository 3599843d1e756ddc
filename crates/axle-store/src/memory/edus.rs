//! EDUs that other servers are still to get.

use std::collections::BTreeSet;

use async_trait::async_trait;
use axle_protocol::ServerName;

use super::MemoryStore;
use super::data::Data;
use crate::{EduQueues, MAX_EDUS_PER_DESTINATION, NewEdu, PendingEdu, StoreError};

#[async_trait]
impl EduQueues for MemoryStore {
    async fn edu_destinations(&self) -> Result<Vec<ServerName>, StoreError> {
        let inner = self.lock();
        let destinations: BTreeSet<_> = inner.data.edus.values().map(|edu| edu.destination.clone()).collect();
        Ok(destinations.into_iter().collect())
    }

    async fn pending_edus(
        &self,
        destination: &ServerName,
        after: i64,
        limit: usize,
    ) -> Result<Vec<PendingEdu>, StoreError> {
        let inner = self.lock();
        let edus = inner.data.edus.range(after.saturating_add(1)..).filter(|(_, edu)| edu.destination == *destination);
        Ok(edus.take(limit).map(|(id, edu)| PendingEdu { id: *id, json: edu.json.as_str().into() }).collect())
    }

    async fn remove_edus(&self, destination: &ServerName, until: i64) -> Result<(), StoreError> {
        let destination = destination.clone();
        self.write(move |data| {
            data.edus.retain(|id, edu| *id > until || edu.destination != destination);
            Ok(())
        })
        .await
    }
}

impl Data {
    pub(super) fn queue_edus(&mut self, edus: Vec<NewEdu>) {
        for edu in edus {
            let destination = edu.destination.clone();
            if edu.subject.is_some() {
                self.edus.retain(|_, old| old.destination != destination || old.subject != edu.subject);
            }
            self.last_edu += 1;
            self.edus.insert(self.last_edu, edu);
            if self.edus.len() <= MAX_EDUS_PER_DESTINATION {
                continue;
            }
            let of_destination: Vec<i64> =
                self.edus.iter().filter(|(_, edu)| edu.destination == destination).map(|(id, _)| *id).collect();
            let too_many = of_destination.len().saturating_sub(MAX_EDUS_PER_DESTINATION);
            of_destination.iter().take(too_many).for_each(|id| drop(self.edus.remove(id)));
        }
    }
}
