"""Flyte's Secret service over gRPC, with gRPC's own client and Flyte's generated stubs: address, [CA file]. Prints what came of it as JSON."""
import json
import sys

import grpc
from flyteidl2.cluster import payload_pb2 as cluster, service_pb2_grpc as clusters
from flyteidl2.secret import definition_pb2 as d, payload_pb2 as p, secret_pb2_grpc

address, ca = sys.argv[1], sys.argv[2:]
options = {"compression": grpc.Compression.Gzip}
if ca:
    channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(open(ca[0], "rb").read()), **options)
else:
    channel = grpc.insecure_channel(address, **options)
secrets = secret_pb2_grpc.SecretServiceStub(channel)
id = d.SecretIdentifier(name="by-grpc", domain="development", project="flytesnacks")


def code(call, request):
    try:
        call(request, timeout=20)
        return "OK"
    except grpc.RpcError as error:
        assert "planted" not in error.details(), error.details()
        return error.code().name


value = d.SecretSpec(binary_value=b"planted" * 1000)
create = p.CreateSecretRequest(id=id, secret_spec=value)
codes = [
    code(secrets.CreateSecret, create),
    code(secrets.CreateSecret, create),
    code(secrets.UpdateSecret, p.UpdateSecretRequest(id=id, secret_spec=d.SecretSpec(string_value="planted"))),
    code(secrets.CreateSecret, p.CreateSecretRequest(id=id)),
    code(secrets.CreateSecret, p.CreateSecretRequest(id=id, secret_spec=d.SecretSpec(binary_value=bytes(4 << 20)))),
]
found = secrets.GetSecret(p.GetSecretRequest(id=id), timeout=20).secret
names = []
token = None
while token != "":
    page = secrets.ListSecrets(p.ListSecretsRequest(domain="development", limit=1, token=token), timeout=20)
    names += [secret.id.name for secret in page.secrets]
    token = page.token
codes.append(code(secrets.DeleteSecret, p.DeleteSecretRequest(id=id)))
codes.append(code(secrets.DeleteSecret, p.DeleteSecretRequest(id=id)))
use = cluster.SelectClusterRequest(operation=cluster.SelectClusterRequest.OPERATION_USE_SECRETS)
codes.append(code(clusters.ClusterServiceStub(channel).SelectCluster, use))

# Without stubs of their own: the messages are `list_services: "*"` and `status: SERVING` in protobuf.
reflected = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")(iter([b"\x3a\x01*"]), timeout=20)
assert b"flyteidl2.secret.SecretService" in next(reflected)
assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=20) == b"\x08\x01"
cluster_status = [(status.cluster.name, status.presence_status) for status in found.secret_metadata.secret_status.cluster_status]
print(json.dumps({"codes": codes, "name": found.id.name, "names": names, "clusters": cluster_status}))
