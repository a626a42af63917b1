//! Requests as a saga sends them.

use proto::facade::v1::Money;
use tonic::Request;

/// A saga's call of the step that is named after the request's type.
#[must_use]
pub fn step<Q>(saga: &str, request: Q) -> Request<Q> {
    directed(saga, "forward", name_of::<Q>(), request)
}

/// A saga's undo of the step of this name.
#[must_use]
pub fn undo<Q>(saga: &str, name: &str, request: Q) -> Request<Q> {
    directed(saga, "undo", name, request)
}

/// The name of the step that [`step`] makes of a request of this type.
#[must_use]
pub fn name_of<Q>() -> &'static str {
    let name = std::any::type_name::<Q>();
    name.rsplit("::").next().unwrap_or(name).trim_end_matches("Request")
}

fn directed<Q>(saga: &str, direction: &str, name: &str, request: Q) -> Request<Q> {
    let mut request = Request::new(request);
    for (key, value) in [("saga-id", saga), ("saga-step", name), ("saga-direction", direction)] {
        request.metadata_mut().insert(key, value.parse().unwrap());
    }
    request
}

/// So many euro cents.
#[must_use]
pub fn euros(minor_units: i64) -> Money {
    Money { currency: "EUR".to_owned(), minor_units }
}
