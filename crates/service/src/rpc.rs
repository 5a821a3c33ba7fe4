//! `flyteidl2.secret.SecretService`: from messages to calls, and back.

use connectrpc::{RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_secrets_core::value::SecretValue;
use flyte_secrets_stores::{SecretKind, SecretMetadata};

use crate::access::Identity;
use crate::audit::Trace;
use crate::problem::Problem;
use crate::proto::flyteidl2::common::ClusterIdentifier;
use crate::proto::flyteidl2::secret::{
    __buffa::view::oneof::secret_spec::Value, ClusterSecretStatus, CreateSecretRequest, CreateSecretResponse,
    DeleteSecretRequest, DeleteSecretResponse, GetSecretRequest, GetSecretResponse, ListSecretsRequest,
    ListSecretsResponse, OverallStatus, Secret, SecretIdentifier, SecretIdentifierView, SecretMetadata as Metadata,
    SecretPresenceStatus, SecretService, SecretSpecView, SecretStatus, SecretType, UpdateSecretRequest,
    UpdateSecretResponse,
};
use crate::secrets::{Caller, ListRequest, Place, Secrets};
use crate::server::Peer;

/// The service over [`Secrets`].
pub(crate) struct SecretRpc {
    pub(crate) secrets: Secrets,
    /// The name of the cluster in what is told of secrets; empty: none is told.
    pub(crate) cluster: String,
}

#[allow(refining_impl_trait, reason = "callers see the trait; here the message says more than `impl Encodable`")]
impl SecretService for SecretRpc {
    async fn create_secret(
        &self,
        context: RequestContext,
        request: ServiceRequest<'_, CreateSecretRequest>,
    ) -> ServiceResult<CreateSecretResponse> {
        let (value, kind) = spec(request.secret_spec.as_option())?;
        self.secrets.create(caller(&context), place(request.id.as_option()), value, kind).await?;
        Response::ok(CreateSecretResponse::default())
    }

    async fn update_secret(
        &self,
        context: RequestContext,
        request: ServiceRequest<'_, UpdateSecretRequest>,
    ) -> ServiceResult<UpdateSecretResponse> {
        let (value, kind) = spec(request.secret_spec.as_option())?;
        self.secrets.update(caller(&context), place(request.id.as_option()), value, kind).await?;
        Response::ok(UpdateSecretResponse::default())
    }

    async fn get_secret(
        &self,
        context: RequestContext,
        request: ServiceRequest<'_, GetSecretRequest>,
    ) -> ServiceResult<GetSecretResponse> {
        let found = self.secrets.get(&caller(&context), place(request.id.as_option())).await?;
        Response::ok(GetSecretResponse { secret: Some(self.secret(found)).into(), ..GetSecretResponse::default() })
    }

    async fn list_secrets(
        &self,
        context: RequestContext,
        request: ServiceRequest<'_, ListSecretsRequest>,
    ) -> ServiceResult<ListSecretsResponse> {
        let (domain, project, limit, token) = (request.domain, request.project, request.limit, request.token);
        let listed = self.secrets.list(&caller(&context), ListRequest { domain, project, limit, token }).await?;
        let secrets = listed.secrets.into_iter().map(|secret| self.secret(secret)).collect();
        Response::ok(ListSecretsResponse { secrets, token: listed.token, ..ListSecretsResponse::default() })
    }

    async fn delete_secret(
        &self,
        context: RequestContext,
        request: ServiceRequest<'_, DeleteSecretRequest>,
    ) -> ServiceResult<DeleteSecretResponse> {
        self.secrets.delete(caller(&context), place(request.id.as_option())).await?;
        Response::ok(DeleteSecretResponse::default())
    }
}

impl SecretRpc {
    fn secret(&self, SecretMetadata { id, kind, created }: SecretMetadata) -> Secret {
        let r#type = match kind {
            SecretKind::Generic => SecretType::SECRET_TYPE_GENERIC,
            SecretKind::ImagePull => SecretType::SECRET_TYPE_IMAGE_PULL_SECRET,
        };
        let cluster = (!self.cluster.is_empty()).then(|| ClusterSecretStatus {
            cluster: Some(ClusterIdentifier { name: self.cluster.clone(), ..ClusterIdentifier::default() }).into(),
            presence_status: SecretPresenceStatus::PRESENT.into(),
            ..ClusterSecretStatus::default()
        });
        let status = SecretStatus {
            overall_status: OverallStatus::FULLY_PRESENT.into(),
            cluster_status: cluster.into_iter().collect(),
            ..SecretStatus::default()
        };
        let metadata = Metadata {
            created_time: created.map(Into::into).into(),
            secret_status: Some(status).into(),
            r#type: r#type.into(),
            ..Metadata::default()
        };
        let id = SecretIdentifier {
            name: id.name,
            organization: id.org,
            domain: id.domain,
            project: id.project,
            ..SecretIdentifier::default()
        };
        Secret { id: Some(id).into(), secret_metadata: Some(metadata).into(), ..Secret::default() }
    }
}

fn caller(context: &RequestContext) -> Caller {
    let extensions = context.extensions();
    Caller {
        identity: extensions.get::<Identity>().cloned().unwrap_or_default(),
        peer: extensions.get::<Peer>().map(|peer| peer.0),
        trace: Trace::of(context.headers()),
    }
}

/// The organization that is asked for is not regarded.
fn place<'a>(id: Option<&SecretIdentifierView<'a>>) -> Place<'a> {
    id.map_or(Place { name: "", domain: "", project: "" }, |id| Place {
        name: id.name,
        domain: id.domain,
        project: id.project,
    })
}

/// The value leaves the message here, for memory that is wiped.
fn spec(spec: Option<&SecretSpecView<'_>>) -> Result<(Option<SecretValue>, SecretKind), Problem> {
    let Some(spec) = spec else { return Ok((None, SecretKind::Generic)) };
    let kind = match spec.r#type.as_known() {
        Some(SecretType::SECRET_TYPE_GENERIC) => SecretKind::Generic,
        Some(SecretType::SECRET_TYPE_IMAGE_PULL_SECRET) => SecretKind::ImagePull,
        None => {
            let message = format!("the type {} of a secret is not known here", spec.r#type.to_i32());
            return Err(Problem::invalid(message));
        }
    };
    let value = spec.value.as_ref().map(|value| match value {
        Value::StringValue(text) => SecretValue::text((*text).to_owned()),
        Value::BinaryValue(bytes) => SecretValue::binary(bytes.to_vec()),
    });
    Ok((value, kind))
}
