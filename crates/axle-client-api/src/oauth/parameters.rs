//! Parameters of requests, in a query or in a form.

use std::collections::BTreeMap;

use http::StatusCode;

use crate::endpoint::RawRequest;
use crate::error::{ApiError, ApiResult};

/// The largest form.
const MAX_FORM_BYTES: usize = 32 * 1024;

/// Parameters, each at most once; one without a value is as good as none (RFC 6749, 3.1 and 3.2).
#[derive(Debug, Clone)]
pub(crate) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Those of a query or of the body of a form.
    pub(crate) fn parse(encoded: &[u8]) -> ApiResult<Self> {
        let mut parameters = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(encoded) {
            if parameters.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                return Err(invalid_request(format!("The parameter {name} is there more than once.")));
            }
        }
        parameters.retain(|_, value| !value.is_empty());
        Ok(Self(parameters))
    }

    /// Those of the query of a request.
    pub(crate) fn of_query(request: &RawRequest) -> ApiResult<Self> {
        Self::parse(request.head().uri.query().unwrap_or_default().as_bytes())
    }

    /// Those of the body of a request.
    pub(crate) async fn of_form(request: RawRequest) -> ApiResult<Self> {
        Self::parse(&request.bytes(MAX_FORM_BYTES).await?)
    }

    /// One parameter, encoded.
    pub(crate) fn one(name: &str, value: &str) -> String {
        encode([(name, value)].into_iter())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// One that has to be there.
    pub(crate) fn require(&self, name: &str) -> ApiResult<&str> {
        self.get(name).ok_or_else(|| invalid_request(format!("There is no {name}.")))
    }

    /// The same with another value of one of them, or without it.
    pub(crate) fn with(mut self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.0.insert(name.to_owned(), value.to_owned()),
            None => self.0.remove(name),
        };
        self
    }

    /// All of them, encoded.
    pub(crate) fn encoded(&self) -> String {
        encode(self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }
}

/// Encodes parameters for a query, a fragment or a form.
pub(super) fn encode<'a>(parameters: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

pub(super) fn invalid_request(description: String) -> ApiError {
    ApiError::OAuth(StatusCode::BAD_REQUEST, "invalid_request", description)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_there_once_or_not_at_all() {
        let parameters = Parameters::parse(b"a=1&b=&c=%26+x").unwrap();
        assert_eq!((parameters.get("a"), parameters.get("b"), parameters.get("c")), (Some("1"), None, Some("& x")));
        assert!(parameters.require("b").is_err());
        assert_eq!(Parameters::parse(parameters.encoded().as_bytes()).unwrap().get("c"), Some("& x"));
        assert!(Parameters::parse(b"a=1&a=1").is_err());
    }
}
