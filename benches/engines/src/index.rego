# Decides by looking up the whole question in nested objects; no statements are left to be searched.
package authz

default allow := false

allow if {
	granted
	not data.keys[input.key].deny[input.principal][input.action]
}

granted if data.keys[input.key].allow[input.principal][input.action]

granted if data.ram[input.principal][input.action]
