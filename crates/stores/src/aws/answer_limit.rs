//! A limit for the answers of AWS, which the SDK reads into memory whole.

use aws_sdk_secretsmanager::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_secretsmanager::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_secretsmanager::error::BoxError;
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;

/// The largest answer, in bytes: 20 values of 65,536 bytes (AWS's limit) with every character escaped in JSON.
pub(super) const MAX_ANSWER: usize = 8 << 20;

/// Ends an answer that is longer than [`MAX_ANSWER`].
#[derive(Debug)]
pub(super) struct AnswerLimit;

impl Intercept for AnswerLimit {
    fn name(&self) -> &'static str {
        "AnswerLimit"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response_mut().body_mut();
        let answer = std::mem::replace(body, SdkBody::taken());
        *body = SdkBody::from_body_1_x(Limited::new(answer, MAX_ANSWER));
        Ok(())
    }
}
