//! Handlers and answers that read much: what they read comes from one moment, on one thread.

use axle_store::read_at_once;

use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;

/// How far an answer may go for what it tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// To what is stored here.
    Here,
    /// To the hub, for history that is not here.
    Hub,
}

impl Api {
    /// Does what only reads: see [`Snapshots::in_snapshot`](axle_store::Snapshots::in_snapshot).
    pub(crate) async fn at_once<T: Send + 'static>(
        &self,
        work: impl Future<Output = ApiResult<T>> + Send + 'static,
    ) -> ApiResult<T> {
        read_at_once(&*self.store, work).await?
    }

    /// Answers with what is here, if that is enough; else anew, with what other servers have.
    pub(crate) async fn answer_within_reach<T, F>(&self, answer: impl Fn(Reach) -> F) -> ApiResult<T>
    where
        T: Default + Send + 'static,
        F: Future<Output = ApiResult<Option<T>>> + Send + 'static,
    {
        match self.at_once(answer(Reach::Here)).await? {
            Some(answer) => Ok(answer),
            None => Ok(answer(Reach::Hub).await?.unwrap_or_default()),
        }
    }
}

/// A handler that only reads, and does so at once.
pub(crate) fn at_once<R, H, F, A>(
    handler: H,
) -> impl Fn(Api, Session, R) -> std::pin::Pin<Box<dyn Future<Output = ApiResult<A>> + Send>> + Clone + Send + Sync + 'static
where
    R: Send + 'static,
    H: Fn(Api, Session, R) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = ApiResult<A>> + Send + 'static,
    A: Send + 'static,
{
    move |api, session, request| {
        let work = handler(api.clone(), session, request);
        Box::pin(async move { api.at_once(work).await })
    }
}
