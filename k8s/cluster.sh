# shellcheck shell=bash disable=SC2034
# What the scripts of this folder share; sourced, never run. Variables come from make.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(dirname "$HERE")
# shellcheck source=SCRIPTDIR/versions.env
source "$HERE/versions.env"

CLUSTER=${CLUSTER:-kind}       # kind, minikube, or test: a script that has `env` and `load`
NAMESPACE=${NAMESPACE:-marina}
RELEASE=${RELEASE:-marina}
HELM=${HELM:-helm}
# Prefix of the objects' names and their label `app.kubernetes.io/instance`, as the chart makes it.
case $RELEASE in *marina*) NAME=$RELEASE ;; *) NAME=$RELEASE-marina ;; esac
CONTEXT=marina                 # name of the cluster that kind-up and minikube-up make
VERSION=$(sed -n 's/^appVersion: "\(.*\)"/\1/p' "$ROOT/charts/marina/Chart.yaml")
IMAGES=(marina-metadata-api marina-serving marina-ui marina-models)

say() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*"; }
stop() { printf 'marina: %s\n' "$*" >&2; exit 1; }

need() {
  local program
  for program in "$@"; do
    command -v "$program" > /dev/null || stop "$program is not installed"
  done
}

# Which cluster kubectl and helm talk to. A test cluster brings its own programs and KUBECONFIG.
case $CLUSTER in
  kind) KUBE=(--context "kind-$CONTEXT"); HELM_KUBE=(--kube-context "kind-$CONTEXT") ;;
  minikube) KUBE=(--context "$CONTEXT"); HELM_KUBE=(--kube-context "$CONTEXT") ;;
  test)
    [ -x "${TEST_CLUSTER:-}" ] || stop "CLUSTER=test needs TEST_CLUSTER, the path of the script that has \`env\` and \`load\`"
    eval "$("$TEST_CLUSTER" env)"
    KUBE=(); HELM_KUBE=() ;;
  *) stop "CLUSTER is kind, minikube or test, not $CLUSTER" ;;
esac

kube() { kubectl ${KUBE[@]+"${KUBE[@]}"} "$@"; }
inside() { kube --namespace "$NAMESPACE" "$@"; }
helm_() { "$HELM" "$@" ${HELM_KUBE[@]+"${HELM_KUBE[@]}"}; }
helm_major() { "$HELM" version --template '{{.Version}}' | sed 's/^v\([0-9]*\).*/\1/'; }

# Helm 4's own --wait does not fit InferenceServices (docs/adr/0020); the old way of waiting looks at none of them.
wait_flag() {
  if [ "$(helm_major)" -ge 4 ]; then echo --wait=legacy; else echo --wait; fi
}

# until_ok SECONDS WHAT COMMAND...: repeat a command each second; what it said last is shown when the time is over.
until_ok() {
  local seconds=$1 what=$2 end said
  shift 2
  end=$((SECONDS + seconds))
  say "waiting for $what (at most $seconds s)"
  until said=$("$@" 2>&1); do
    [ $SECONDS -lt $end ] || stop "$what: not within $seconds s. Last: $said"
    sleep 1
  done
}
