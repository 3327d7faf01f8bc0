# shellcheck shell=bash
# The same clients, through two Keywards in a row: one in front of a KMS elsewhere, which is another one with the embedded
# KMS. Part of `run`, which reads it. The ways to the KMS differ in what the settings of the one in front say, and what is
# different for clients stands in a table for each (ways/). Behind, alice and bob may do everything: whoever refuses them is
# the one in front.

behind=$work/behind # folder of the Keyward with the embedded KMS
kms_name=kms.cn-hangzhou.aliyuncs.com

# Behind there is TLS only, as with KMS.
configure_behind() {
  mkdir "$behind"
  cp -R "$repo/config" "$repo/policies" "$behind/"
  rm -r "$behind/policies/keys" "$behind/policies/secrets"
  read -r kms_port behind_admin_port < <(free_ports 2)
  settings=$behind/config/keyward.toml
  set_to api '"off"'
  set_to tls "\"127.0.0.1:$kms_port\""
  set_to certificate "\"$work/keys/server.pem\""
  set_to key "\"$work/keys/server.key\""
  set_to admin "\"127.0.0.1:$behind_admin_port\""
  set_to audit '"../audit.jsonl"'
  give_key_pair "$behind"
  allow_all "$behind/config/identities.toml"
}

# Gives alice and bob the policy that kim has.
allow_all() { # file
  local who='^\[accounts\.1234567890123456\.(users\.bob|groups\.developers)\]$'
  sed -i.orig -E "/$who/,/^\$/s/^policies = .*/policies = [\"KmsAdministrator\"]/" "$1"
  [ "$(grep -c '^policies = \["KmsAdministrator"\]$' "$1")" = 2 ]
}

# The example of a Keyward in front, on ports of its own and with doors that the example leaves out.
configure_front() {
  local front=$work/$way api tls admin credentials
  mkdir -p "$front/calls"
  cp -R "$repo/config" "$repo/policies" "$front/"
  give_key_pair "$front"
  read -r api tls admin credentials < <(free_ports 4)
  echo "$api $tls $admin $credentials" >"$front/ports"
  settings=$front/config/gateway.toml
  set_to api "\"127.0.0.1:$api\""
  set_to admin "\"127.0.0.1:$admin\""
  set_to endpoint "\"https://127.0.0.1:$kms_port\""
  set_to ca "\"$KEYWARD_CA\""
  sed -i.orig -E '/^\[listen\]$/a\
tls = "127.0.0.1:'"$tls"'"
' "$settings"
  cat >>"$settings" <<TOML

[tls]
certificate = "$work/keys/server.pem"
key = "$work/keys/server.key"

[log]
audit = "../audit.jsonl"
TOML
  "settings_of_$way"
}

# Whatever the client signs: the request is written anew. That is what the example says. Sessions that Keyward hands out
# mean nothing behind, so only here anything can be done with them.
settings_of_re-sign() {
  cat >>"$settings" <<TOML

[credentials]
role = "acs:ram::1234567890123456:role/payroll-service"
duration_seconds = 900
listen = "127.0.0.1:$credentials"
token_file = "../credentials.token"
TOML
}

# Policies are set on both sides. The one behind would let its callers do what they want all the same.
settings_of_caller() {
  set_to sign_as '"caller"'
  set_to policy_operations '"mirrored"'
}

# The endpoint has another name than Keyward has, and its certificate a third one.
settings_of_pass-through() {
  set_to endpoint "\"https://localhost:$kms_port\""
  set_to server_name "\"$kms_name\""
  set_to also_named "[\"$kms_name\"]"
  set_to networks '["127.0.0.0/8"]'
  set_to mode '"pass-through"'
  sed -i.orig '/^sign_as = /d' "$settings"
}

# Starts the one in front with kim's access key in its environment, as its own.
start_front() {
  export_doors "$work/$way"
  ALIBABA_CLOUD_ACCESS_KEY_ID=$KEYWARD_KIM_ID ALIBABA_CLOUD_ACCESS_KEY_SECRET=$KEYWARD_KIM_SECRET \
    start "server/$way" "$work/$way" gateway.toml "$admin_port"
}

drive_re-sign() { drive_all; }

# Credentials that Keyward hands out are those of sessions, and mean nothing behind.
drive_caller() { drive_all_but_sessions; }

# Signatures of the first ones do not cover the Host, so that it can be another one behind. The others get nowhere.
drive_pass-through() {
  drive_unsigned_host
  way=wrong-host
  drive_signed_host
}

drive_unsigned_host() {
  drive python-classic "$here/.venv/bin/python" -B "$here/python_classic.py"
  drive python-oss2 "$here/.venv/bin/python" -B "$here/python_oss2.py"
  drive python-secrets-manager "$here/.venv-secrets/bin/python" -B "$here/python_secrets_manager.py"
  drive_foreign pop-core node "$here/pop_core.mjs"
  [ -z "$has_go" ] || drive_go_classic
  [ -z "$has_java" ] || drive_java
}

drive_signed_host() {
  drive_python_tea
  drive_foreign openapi-client node "$here/openapi_client.mjs"
  [ -z "$has_go" ] || drive_go_tea
}

# What they believe to talk to is KMS, and so they sign for it. Clients for Node know no proxy: for them the name of KMS
# leads here.
drive_proxy() {
  export HTTP_PROXY=http://$KEYWARD_API KEYWARD_API=$kms_name
  unset no_proxy NO_PROXY
  drive python-classic "$here/.venv/bin/python" -B "$here/python_classic.py"
  drive_python_tea
  drive python-key-pair "$here/.venv/bin/python" -B "$here/python_key_pair.py"
  [ -z "$has_go" ] || drive_go
  [ -z "$has_java" ] || drive_java
  export KEYWARD_API=$kms_name:${HTTP_PROXY##*:}
  drive_foreign openapi-client node --require "$here/resolve.cjs" "$here/openapi_client.mjs"
}

# Drives one way, in a process of its own.
drive_way() ( # folder of the one in front
  export_doors "$1"
  "drive_$way"
)

# What was made on one way is met on another.
drive_strangers() { # clients, way of what was made
  local tls
  read -r _ tls _ <"$work/$2/ports"
  export_doors "$work/$way"
  KEYWARD_TLS=127.0.0.1:$tls drive "python-$1-strangers" "$here/.venv/bin/python" -B "$here/python_strangers.py" "$1"
}

through_two() {
  local ways="re-sign caller pass-through" driving=() process
  configure_behind
  start server/behind "$behind" keyward.toml "$behind_admin_port" || return 0
  for way in $ways; do configure_front; done
  for way in $ways; do start_front || return 0; done
  for way in $ways proxy; do
    drive_way "$work/${way/proxy/pass-through}" & # it is in front of both
    driving+=($!)
  done
  for process in "${driving[@]}"; do
    wait "$process" || report "FAIL clients  were not driven on every way"
  done
  way=re-sign drive_strangers tea pass-through
  way=caller drive_strangers tea re-sign
  way=pass-through drive_strangers classic caller
  for way in $ways; do stop "server/$way" "$work/$way"; done
  way=
  stop server/behind "$behind"
  [ "$wanted" != all ] || check_trails
}

# What has happened, as it was noted down.
check_trails() {
  drive audits "$here/.venv/bin/python" -B "$here/two_audits.py" \
    {"$behind","$work"/re-sign,"$work"/caller,"$work"/pass-through}/audit.jsonl
  for way in re-sign caller; do
    KEYWARD_CALLS=$work/$way/calls drive coverage "$here/.venv/bin/python" -B "$here/coverage.py"
  done
  way=
}
