//! What application services know of other networks ("Third-party networks").

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Method;
use serde_json::Value;

use super::{ApplicationService, call};
use crate::state::Api;

/// How long it is believed what a service says of a protocol. Clients ask whenever they start.
const BELIEVED: Duration = Duration::from_secs(300);

/// What services said of their protocols, by service and protocol.
#[derive(Debug, Default)]
pub(crate) struct Protocols(Mutex<HashMap<(String, String), (Instant, Value)>>);

/// Every protocol that some service knows.
pub(crate) async fn protocols(api: &Api) -> BTreeMap<String, Value> {
    let names: BTreeSet<&String> = api.config.services.iter().flat_map(|service| &service.protocols).collect();
    let found = join_all(names.into_iter().map(async |name| Some((name.clone(), protocol(api, name).await?)))).await;
    found.into_iter().flatten().collect()
}

/// What is known of a protocol: the instances of all services that know it.
pub(crate) async fn protocol(api: &Api, name: &str) -> Option<Value> {
    let said = join_all(knowing(api, Some(name)).map(|service| of_service(api, service, name))).await;
    let mut said = said.into_iter().flatten();
    let mut merged = said.next()?;
    let mut more: Vec<Value> = said.filter_map(|other| other.get("instances")?.as_array().cloned()).flatten().collect();
    if let Value::Array(instances) =
        merged.as_object_mut()?.entry("instances").or_insert_with(|| Value::Array(Vec::new()))
    {
        instances.append(&mut more);
    }
    Some(merged)
}

/// Users of another network: those of a protocol with these fields, or those that a user here stands for.
pub(crate) async fn users(api: &Api, protocol: Option<&str>, query: Vec<(String, String)>) -> Vec<Value> {
    look_up(api, "user", protocol, query).await
}

/// The same of places where people talk.
pub(crate) async fn locations(api: &Api, protocol: Option<&str>, query: Vec<(String, String)>) -> Vec<Value> {
    look_up(api, "location", protocol, query).await
}

async fn look_up(api: &Api, what: &str, protocol: Option<&str>, query: Vec<(String, String)>) -> Vec<Value> {
    let ask = async |service: &ApplicationService| {
        let path: Vec<&str> = ["thirdparty", what].into_iter().chain(protocol).collect();
        let mut call = call::request(service, Method::GET, &path)?;
        call.query = query.clone();
        match call::ask(api, service, call).await? {
            Value::Array(found) => Some(found),
            _ => None,
        }
    };
    join_all(knowing(api, protocol).map(ask)).await.into_iter().flatten().flatten().collect()
}

/// The services that know a protocol, or any.
fn knowing<'a>(api: &'a Api, protocol: Option<&'a str>) -> impl Iterator<Item = &'a ApplicationService> {
    let knows = move |service: &&ApplicationService| match protocol {
        Some(protocol) => service.protocols.iter().any(|known| known == protocol),
        None => !service.protocols.is_empty(),
    };
    api.config.services.iter().filter(knows)
}

/// What one service says of a protocol. Its instances get ids by which lists of rooms can be asked for.
async fn of_service(api: &Api, service: &ApplicationService, name: &str) -> Option<Value> {
    let key = (service.id.clone(), name.to_owned());
    if let Some(said) = api.protocols.get(&key) {
        return Some(said);
    }
    let call = call::request(service, Method::GET, &["thirdparty", "protocol", name])?;
    let mut said = call::ask(api, service, call).await.filter(Value::is_object)?;
    for instance in said.get_mut("instances").and_then(Value::as_array_mut).into_iter().flatten() {
        let network = instance.get("network_id").and_then(Value::as_str).map(str::to_owned);
        if let (Some(network), Some(instance)) = (network, instance.as_object_mut()) {
            instance.insert("instance_id".into(), format!("{}|{network}", service.id).into());
        }
    }
    api.protocols.put(key, said.clone());
    Some(said)
}

impl Protocols {
    fn get(&self, key: &(String, String)) -> Option<Value> {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.get(key).filter(|(at, _)| at.elapsed() < BELIEVED).map(|(_, said)| said.clone())
    }

    /// There are no more of them than registrations name.
    fn put(&self, key: (String, String), said: Value) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, (Instant::now(), said));
    }
}
