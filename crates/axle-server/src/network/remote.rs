//! What local users want to know from other servers.

use std::time::Duration;

use async_trait::async_trait;
use axle_client_api::{NoRemoteFile, RemoteFile, RemoteServers, ResolvedAlias, RoomListQuery};
use axle_federation::PublicRoomsQuery;
use axle_federation::client::{Client, ClientError};
use axle_protocol::{MatrixError, RoomId, ServerName, UserId};
use futures_util::StreamExt as _;
use futures_util::stream::try_unfold;
use serde_json::{Map, Value};

use crate::rooms::Rooms;

/// The federation client as the client-server API uses it.
pub(crate) struct FederationRemote {
    pub(crate) client: Client,
    pub(crate) rooms: Rooms,
}

impl FederationRemote {
    /// The client, to ask this server; 403 if it is blocked.
    async fn towards(&self, server: &ServerName) -> Result<&Client, MatrixError> {
        self.rooms.check_server(server).await?;
        Ok(&self.client)
    }
}

#[async_trait]
impl RemoteServers for FederationRemote {
    async fn profile(&self, user_id: &UserId) -> Result<Map<String, Value>, MatrixError> {
        let server = user_id.server_name();
        let asked = self.towards(&server).await?.query_profile(&server, user_id.as_str(), None).await;
        asked.map_err(|error| for_client(&server, error))
    }

    async fn alias(&self, server: &ServerName, alias: &str) -> Result<ResolvedAlias, MatrixError> {
        let asked = self.towards(server).await?.query_directory(server, alias).await;
        let resolved = asked.map_err(|error| for_client(server, error))?;
        Ok(ResolvedAlias { room_id: resolved.room_id, servers: resolved.servers })
    }

    async fn public_rooms(
        &self,
        server: &ServerName,
        query: &RoomListQuery,
    ) -> Result<Map<String, Value>, MatrixError> {
        let RoomListQuery { limit, since, search_term, room_types, include_all_networks, third_party_instance_id } =
            query.clone();
        let query =
            PublicRoomsQuery { limit, since, search_term, room_types, include_all_networks, third_party_instance_id };
        let asked = self.towards(server).await?.public_rooms(server, &query).await;
        asked.map_err(|error| for_client(server, error))
    }

    async fn hierarchy(
        &self,
        server: &ServerName,
        room_id: &RoomId,
        suggested_only: bool,
    ) -> Result<Map<String, Value>, MatrixError> {
        let asked = self.towards(server).await?.hierarchy(server, room_id, suggested_only).await;
        asked.map_err(|error| for_client(server, error))
    }

    async fn media(&self, server: &ServerName, media_id: &str, wait: Duration) -> Result<RemoteFile, NoRemoteFile> {
        let asked = self.towards(server).await?.media(server, media_id, wait).await;
        let mut file = asked.map_err(|error| {
            let is_server_gone = matches!(error, ClientError::Resolve(_) | ClientError::Connect(_));
            NoRemoteFile { error: for_client(server, error), is_server_gone }
        })?;
        let (content_type, disposition) = (file.content_type.take(), file.disposition.take());
        let content = try_unfold((file, server.clone()), async |(mut file, server)| match file.next().await {
            Ok(piece) => Ok(piece.map(|piece| (piece, (file, server)))),
            Err(error) => Err(for_client(&server, error)),
        });
        Ok(RemoteFile { content_type, disposition, content: content.boxed() })
    }
}

/// What a client is told when another server failed or refused. Its answer is passed on only where it is about what was
/// asked for: its 401 would have the client log out here.
fn for_client(server: &ServerName, error: ClientError) -> MatrixError {
    let text = |error: &dyn std::fmt::Display| format!("{server}: {error}");
    match error {
        ClientError::Refused(refusal) if refusal.is_unknown_endpoint() => {
            MatrixError::not_found(format!("{server} does not have this, or does not tell."))
        }
        ClientError::Refused(refusal) => {
            let error = refusal.error;
            let is_about_it = matches!(
                (error.status, error.errcode.as_str()),
                (404, "M_NOT_FOUND") | (403, "M_FORBIDDEN") | (429, "M_LIMIT_EXCEEDED") | (504, "M_NOT_YET_UPLOADED")
            );
            match is_about_it {
                true => MatrixError { error: text(&error.error), ..error },
                false => MatrixError::bad_gateway(text(&error)),
            }
        }
        ClientError::Timeout(_) => MatrixError::gateway_timeout(text(&error)),
        error => MatrixError::bad_gateway(text(&error)),
    }
}
