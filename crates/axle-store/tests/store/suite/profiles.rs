use std::sync::Arc;

use axle_store::{MAX_PROFILE_FIELDS_BYTES, Profile, ProfileField, Store};

use super::fixtures::*;

pub(crate) async fn name_and_avatar(store: Arc<dyn Store>) {
    assert_eq!(store.profile(&user("a")).await.unwrap(), Profile::default());
    let profile = Profile { displayname: Some("A".into()), avatar_url: None };
    store.put_profile(&user("a"), profile.clone()).await.unwrap();
    assert_eq!(store.profile(&user("a")).await.unwrap(), profile);
    let profile = Profile { displayname: None, avatar_url: Some("mxc://x/y".into()) };
    store.put_profile(&user("a"), profile.clone()).await.unwrap();
    assert_eq!(store.profile(&user("a")).await.unwrap(), profile);
}

pub(crate) async fn further_fields(store: Arc<dyn Store>) {
    let field = |name: &str, json: &str| ProfileField { name: name.into(), json: json.into() };
    for (name, json) in [("m.tz", "\"x\""), ("a.b", "{}"), ("m.tz", "\"y\"")] {
        assert!(store.put_profile_field(&user("a"), field(name, json)).await.unwrap());
    }
    assert_eq!(store.profile_fields(&user("a")).await.unwrap(), [field("a.b", "{}"), field("m.tz", "\"y\"")]);
    assert!(store.profile_fields(&user("b")).await.unwrap().is_empty());
    let big = "1".repeat(MAX_PROFILE_FIELDS_BYTES / 2);
    assert!(store.put_profile_field(&user("a"), field("big", &big)).await.unwrap());
    assert!(store.put_profile_field(&user("a"), field("big", &big)).await.unwrap(), "it counts once");
    assert!(!store.put_profile_field(&user("a"), field("other", &big)).await.unwrap());
    store.remove_profile_field(&user("a"), "big").await.unwrap();
    store.remove_profile_field(&user("a"), "big").await.unwrap();
    assert!(store.put_profile_field(&user("a"), field("other", &big)).await.unwrap());
    assert_eq!(store.profile(&user("a")).await.unwrap(), Profile::default());
}
