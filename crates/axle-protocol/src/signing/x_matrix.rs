//! Request authentication: the `X-Matrix` authorization scheme ("Request Authentication").
