#!/bin/sh
# Lists the rows of rows.txt that no Go test names, and how many they are. A test names a row at the beginning of its
# name or of a subtest's: TestF1KillMidRun, t.Run("A14, A15 stubborn code", …). Usage: rows.sh [directory with the tests]
set -eu
here=$(dirname "$0")
named=$(find "${1:-$here/../..}" -name '*_test.go' -exec grep -ohE 'func Test[A-F][0-9]+[A-Z_]|"[A-F][0-9]+[ ,:][^"]*"' {} + |
	sed -E 's/^func Test([A-F][0-9]+).*/\1/; s/^"(([A-F][0-9]+[ ,:]+)+).*/\1/' | grep -oE '[A-F][0-9]+' | sort -u | tr '\n' ' ')
all=0 left=0
while read -r id title; do
	all=$((all + 1))
	case " $named " in
	*" $id "*) ;;
	*)
		left=$((left + 1))
		echo "$id $title"
		;;
	esac
done < "$here/rows.txt"
echo "$left of $all rows are named by no test"
