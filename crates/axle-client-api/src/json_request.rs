//! Requests for which ruma has no type that fits.

/// Gives a type of request the method and paths of one of ruma's, and its authentication, if no other is named.
macro_rules! metadata_like {
    // A type of request with another inside.
    (around $wrapper:ident) => {
        impl<R: ruma::api::Metadata> ruma::api::Metadata for $wrapper<R> {
            const METHOD: http::Method = R::METHOD;
            const RATE_LIMITED: bool = R::RATE_LIMITED;
            type Authentication = R::Authentication;
            type PathBuilder = R::PathBuilder;
            const PATH_BUILDER: Self::PathBuilder = R::PATH_BUILDER;
        }
    };
    ($request:ty, $ruma:ty) => {
        $crate::json_request::metadata_like!($request, $ruma, <$ruma as ruma::api::Metadata>::Authentication);
    };
    ($request:ty, $ruma:ty, $authentication:ty) => {
        impl ruma::api::Metadata for $request {
            const METHOD: http::Method = <$ruma as ruma::api::Metadata>::METHOD;
            const RATE_LIMITED: bool = <$ruma as ruma::api::Metadata>::RATE_LIMITED;
            type Authentication = $authentication;
            type PathBuilder = <$ruma as ruma::api::Metadata>::PathBuilder;
            const PATH_BUILDER: Self::PathBuilder = <$ruma as ruma::api::Metadata>::PATH_BUILDER;
        }
    };
}

/// Makes a type that is deserialised from a JSON body a request on the method and paths of one of ruma's.
macro_rules! json_request {
    // `path`: the field that gets the first placeholder of the path.
    (
        $request:ty, like $ruma:ty, authentication: $authentication:ty, response: $response:ty
        $(, path: $field:ident)?
    ) => {
        $crate::json_request::metadata_like!($request, $ruma, $authentication);

        impl ruma::api::IncomingRequest for $request {
            type EndpointError = ruma::api::error::Error;
            type OutgoingResponse = $response;

            fn try_from_http_request_inner(
                request: http::Request<&[u8]>,
                _path_args: &[&str],
            ) -> Result<Self, ruma::api::error::DeserializationError> {
                let parsed: Self = serde_json::from_slice(request.body())?;
                $(let parsed = Self {
                    $field: _path_args.first().copied().unwrap_or_default().to_owned(),
                    ..parsed
                };)?
                Ok(parsed)
            }
        }
    };
}

pub(crate) use json_request;
pub(crate) use metadata_like;
