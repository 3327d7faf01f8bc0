# Decides from statements, found by the key's id. Wildcards were resolved when the data was made.
package authz

default allow := false

allow if {
	granted
	not refused
}

granted if {
	some statement in data.keys[input.key].allow
	statement.principals[input.principal]
	statement.actions[input.action]
}

granted if {
	some statement in data.ram[input.principal]
	statement.actions[input.action]
}

refused if {
	some statement in data.keys[input.key].deny
	statement.principals[input.principal]
	statement.actions[input.action]
}
