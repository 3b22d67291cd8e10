# SPDX-License-Identifier: Apache-2.0
#
# Counts single tests in the log of `ctest -V`, where "N: text" is a line of test program N and
# "Test #N: name ... Passed" its verdict. Programs speak cmocka's lines, or "ok name" and "not ok
# name"; one that says neither is one test. A program that failed without naming a test (a crash,
# a leak at exit, a time-out) is one failure more. With strict=1 a skipped test is a failed one.
# Prints what happened on one line, then each failure, and appends "passed failed" to the file
# `counts`.

function number_before_tests(text) {
    match(text, /[0-9]+ test\(s\)/)
    return substr(text, RSTART) + 0
}

/^[0-9]+: / {
    id = $1 + 0
    text = substr($0, index($0, " ") + 1)
    if (text ~ /^ok .*# SKIP/) {
        skipped[id]++
    } else if (text ~ /\[ +OK \] / || text ~ /^ok /) {
        passed[id]++
    } else if (text ~ /\[ +SKIPPED \].*[0-9]+ test\(s\)/) {
        skipped[id] += number_before_tests(text)
    } else if (text ~ /\[ +FAILED +\].*[0-9]+ test\(s\)/) {
        failed[id] += number_before_tests(text)
    } else if (text ~ /^not ok /) {
        failed[id]++
    }
    if (text ~ /^not ok |FAILED|[Ee]rror:|ERROR|: Failure|SUMMARY|runtime error/) {
        said[id] = said[id] "    " text "\n"
    }
    next
}

/Test +#[0-9]+: / {
    match($0, /#[0-9]+: /)
    id = substr($0, RSTART + 1, RLENGTH - 3) + 0
    rest = substr($0, RSTART + RLENGTH)
    split(rest, word, " ")
    if (rest ~ / Passed/) {
        if (!passed[id] && !failed[id] && !skipped[id]) {
            passed[id] = 1
        }
    } else if (rest ~ /\*\*\*Skipped/) {
        skipped[id]++
    } else {
        if (!failed[id]) {
            failed[id] = 1
        }
        failures = failures "  " word[1] ":" substr(rest, length(word[1]) + 1) "\n" said[id]
    }
    if (skipped[id]) {
        skips = skips "  skipped in " word[1] ": " skipped[id] "\n"
    }
    all_passed += passed[id]
    all_failed += failed[id]
    all_skipped += skipped[id]
}

END {
    printf "%d passed, %d failed%s\n", all_passed, all_failed,
        all_skipped ? ", " all_skipped " skipped" : ""
    printf "%s%s", failures, skips
    if (failures != "") {
        print "  see " log_name
    }
    if (strict) {
        all_failed += all_skipped
    }
    print all_passed + 0, all_failed + 0 >>counts
}
