//! What RBAC lets us do.

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};

use super::call::{ApiError, Object, Verb};

/// Whether we may `verb` the `object`, of all namespaces if it has none. Everybody may ask that about himself.
pub(crate) async fn allowed(client: &Client, object: &Object, verb: Verb) -> Result<bool, ApiError> {
    let resource_attributes = Some(attributes(object, verb));
    let spec = SelfSubjectAccessReviewSpec { resource_attributes, ..SelfSubjectAccessReviewSpec::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let asked = Object {
        group: "authorization.k8s.io",
        resource: "selfsubjectaccessreviews",
        namespace: None,
        name: String::new(),
    };
    let reviews = Api::<SelfSubjectAccessReview>::all(client.clone());
    let answer = asked.call(Verb::Create, reviews.create(&PostParams::default(), &review)).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// `verb` of `object` as RBAC is asked about it.
pub(crate) fn attributes(object: &Object, verb: Verb) -> ResourceAttributes {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    ResourceAttributes {
        group: text(object.group),
        resource: text(object.resource),
        namespace: object.namespace.clone(),
        name: text(&object.name),
        verb: text(verb.name()),
        ..ResourceAttributes::default()
    }
}
