# shellcheck shell=bash disable=SC2034
# Settings shared by the scripts of the test bed; source this file.
# Everything can be set from outside. No two test beds may share KTB_STATE,
# KTB_NAME, the ports or the networks.
KTB_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${KTB_CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/flyte-secrets/testbed}" # kept: programs, Go caches
: "${KTB_STATE:=${TMPDIR:-/tmp}/kubebed}"                 # thrown away by down.sh
: "${KTB_NAME:=ktb}"           # names the network link and the control groups
: "${KTB_API_PORT:=16443}"     # on 127.0.0.1, and for the node on $KTB_NET.1
: "${KTB_ETCD_PORT:=16379}"    # and the next one
: "${KTB_CTL_PORT:=16257}"     # controller manager, and the next one: scheduler
: "${KTB_NET:=198.51.100}"     # host .1, node .2, pods .128-.254 (a documentation network)
: "${KTB_SVC:=203.0.113}"      # service addresses; .1 is the API server
: "${KTB_NODE:=node1}"
: "${KTB_PATH:=}"              # a folder with another containerd, shim or runc for the node
: "${KTB_KUBERNETES:=v1.36.3}" # must be the version in kubebox/go.mod
export KTB_CACHE KTB_STATE KTB_NAME KTB_NET KTB_SVC KTB_NODE KTB_PATH

# The paths of sockets below it must stay under 108 characters.
KTB_STATE=$(realpath -m "$KTB_STATE") KTB_CACHE=$(realpath -m "$KTB_CACHE")
[ ${#KTB_STATE} -le 60 ] || { echo "KTB_STATE is too long: $KTB_STATE" >&2; exit 1; }

bin=$KTB_CACHE/bin
deb=$KTB_CACHE/deb/root # unpacked Debian packages
run=$KTB_STATE/run
log=$KTB_STATE/log
pki=$KTB_STATE/pki
export KUBECONFIG=$KTB_STATE/admin.kubeconfig KUBECACHEDIR=$KTB_STATE/kubectl

# Nothing here talks to the outside; a proxy would catch the node's addresses.
no_proxies() { unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY; }

kubectl() { "$bin/kubebox" kubectl "$@"; }

die() { echo "$0: $*" >&2; exit 1; }

# born PID: when a process started, so that a pid used again is not mistaken;
# nothing if it has ended.
born() { awk '{ sub(/.*\) /, ""); if ($1 != "Z") print $20 }' "/proc/$1/stat" 2>/dev/null || true; }

# note NAME PID: remember a process for down.sh.
note() { echo "$2 $(born "$2")" >"$run/$1.pid"; }

# start NAME COMMAND...: run a server in the background, log to the end of $log/NAME.log.
start() {
  local name=$1; shift
  setsid "$@" >>"$log/$name.log" 2>&1 </dev/null &
  note "$name" $!
}

# alive NAME: does the process that start or note wrote down still run?
alive() {
  local pid born
  read -r pid born <"$run/$1.pid" 2>/dev/null || return 1
  [ -n "$born" ] && [ "$(born "$pid")" = "$born" ]
}

# stop NAME: TERM, after 10 s KILL.
stop() {
  local pid born i
  if alive "$1"; then
    read -r pid born <"$run/$1.pid"
    kill -TERM "$pid" 2>/dev/null || true
    for ((i = 0; i < 100; i++)); do alive "$1" || break; sleep 0.1; done
    ! alive "$1" || kill -KILL "$pid" 2>/dev/null || true
    for ((i = 0; i < 50; i++)); do alive "$1" || break; sleep 0.1; done
    ! alive "$1" || die "$1 (pid $pid) does not end"
  fi
  rm -f "$run/$1.pid"
}

# wait_for SECONDS NAME COMMAND...: until COMMAND succeeds; fail if NAME dies.
wait_for() {
  local end=$((SECONDS + $1)) name=$2; shift 2
  until "$@" >/dev/null 2>&1; do
    alive "$name" || { tail -n 20 "$log/$name.log" >&2; die "$name ended"; }
    [ $SECONDS -lt $end ] || { tail -n 20 "$log/$name.log" >&2; die "$name: not ready: $*"; }
    sleep 0.1
  done
}

# The API server, and what it needs to be asked.
# (There is no kube-proxy: with aggregator routing it calls a webhook named by a Service at the addresses of its endpoints.)
# KTB_API_ARGS: more flags.
start_apiserver() {
  # shellcheck disable=SC2086
  start kube-apiserver "$bin/kubebox" kube-apiserver \
    --etcd-servers="http://127.0.0.1:$KTB_ETCD_PORT" --bind-address=127.0.0.1 --secure-port="$KTB_API_PORT" \
    --advertise-address="$KTB_NET.1" --service-cluster-ip-range="$KTB_SVC.0/24" \
    --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
    --client-ca-file="$pki/ca.crt" --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
    --service-account-issuer=https://kubernetes.default.svc \
    --service-account-key-file="$pki/sa.pub" --service-account-signing-key-file="$pki/sa.key" \
    --kubelet-certificate-authority="$pki/ca.crt" --kubelet-preferred-address-types=InternalIP \
    --kubelet-client-certificate="$pki/apiserver-kubelet.crt" --kubelet-client-key="$pki/apiserver-kubelet.key" \
    --audit-policy-file="$KTB_DIR/audit-policy.yaml" --audit-log-path="$log/audit.log" \
    --enable-aggregator-routing --allow-privileged ${KTB_API_ARGS-}
  wait_for 120 kube-apiserver kubectl get --raw /readyz
}
