# Reads scripts/lib/programs.txt and then what calls.awk printed, and prints where they differ.

# /usr/sbin/X is X; other files are meant as they stand.
function plain(name) {
    if (name ~ /^(\/usr)?\/s?bin\/[^\/*]*$/) sub(/.*\//, "", name)
    return name
}

BEGIN {
    # What each use asks host.sh for.
    asks["machines"] = "machines"
    asks["build"] = "build"
    asks["cross"] = "build cross"
    asks["try"] = "machines try build"
    asks["test"] = "machines try build test checks fresh"
    asks["checks"] = "checks"
    asks["bench"] = "machines try build bench"
    asks["fresh"] = "fresh"
    asks["release"] = "build cross release fresh machines try"
    asks["any"] = "machines try build test checks bench fresh cross release"
}

FNR == NR {
    if ($0 ~ /^#/ || NF == 0) next
    if (NF != 3) {
        print "Line " FNR " of the list has " NF " columns and not 3: " $0
        bad = 1
        next
    }
    count = split($3, each, ",")
    for (i = 1; i <= count; i++) if (each[i] == "any" || !(each[i] in asks)) {
        print $1 " has the unknown use " each[i]; bad = 1
    }
    uses[plain($1)] = uses[plain($1)] "," $3 ","
    named[plain($1)] = $1
    next
}

{
    program = plain($3)
    called[program] = 1
    if (seen[$1, program]++) next
    if (!(program in uses)) { print $3 " is not in the list; " $2 " calls it"; bad = 1; next }
    count = split(asks[$1], ask, " ")
    found = 0
    for (i = 1; i <= count; i++) if (index(uses[program], "," ask[i] ",")) found = 1
    if (!found) {
        print $3 " is in the list, but for none of the uses " asks[$1] "; " $2 " calls it"
        bad = 1
    }
}

END {
    for (program in named) if (!(program in called)) {
        print named[program] " is in the list, but nothing calls it"
        bad = 1
    }
    exit bad
}
