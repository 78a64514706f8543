"""Env files as data: what each means, in Compose 2.26 and to us; None where both refuse it."""

from __future__ import annotations

from typing import NamedTuple

ENVIRON = {"FROM_ENV": "environment", "EMPTY": "", "BOTH": "environment"}
"""The environment of each case."""


class Case(NamedTuple):
    """A file, its variables as Compose has them below the environment, and why it is here."""

    about: str
    text: str
    values: dict[str, str] | None


CASES = (
    # Names
    Case("plain", "A=1\n", {"A": "1"}),
    Case("no line end", "A=1", {"A": "1"}),
    Case("spaces around the equals sign", "A = 1\n", {"A": "1"}),
    Case("spaces before the name", "   A=1\n", {"A": "1"}),
    Case("a colon", "A: v\n", {"A": "v"}),
    Case("a colon without a space", "A:v\n", {"A": "v"}),
    Case("an address after a colon", "A: localhost:8001\n", {"A": "localhost:8001"}),
    Case("export", "export A=1\n", {"A": "1"}),
    Case("export and a tab", "export\tA=1\n", {"A": "1"}),
    Case("a name that begins with export", "exported=1\n", {"exported": "1"}),
    Case("a byte-order mark", "\ufeffA=1\n", {"A": "1"}),
    Case("CRLF", "A=1\r\nB='2'\r\n\r\nC=3\r\n", {"A": "1", "B": "2", "C": "3"}),
    Case("a name with dots and dashes", "a.b-c=1\n", {"a.b-c": "1"}),
    Case("a name of other letters", "é=1\n", {"é": "1"}),
    Case("a digit first", "1A=1\n", {"1A": "1"}),
    Case("a name alone is inherited", "FROM_ENV\nA=1\n", {"FROM_ENV": "environment", "A": "1"}),
    Case("a name alone that nobody set", "UNSET\nA=1\n", {"A": "1"}),
    Case("a name alone in the last line", "A=1\nUNSET", None),
    Case("a space in a name", "A B=1\n", None),
    Case("another character in a name", "A@B=1\n", None),
    Case("a line of prose", "this is not a setting\n", None),
    Case("no name", "=1\n", None),
    Case("a quote where a name should be", "A='b'c'\n", None),
    # Values
    Case("empty", "A=\nB=2\n", {"A": "", "B": "2"}),
    Case("empty with spaces", "A=   \nB=2\n", {"A": "", "B": "2"}),
    Case("empty quotes", "A=\"\"\nB=''\n", {"A": "", "B": ""}),
    Case("empty after a colon", "A:\nB=2\n", {"A": "", "B": "2"}),
    Case("an equals sign in the value", "A=b=c\n", {"A": "b=c"}),
    Case("two equals signs", "A==b\n", {"A": "=b"}),
    Case("spaces in the value", "A=b c  d \n", {"A": "b c  d"}),
    Case("a value of other letters", "A=schlüssel\n", {"A": "schlüssel"}),
    Case("a no-break space around the value", "A=\u00a0b\u00a0\n", {"A": "b"}),
    Case("a home directory is no shell's", "A=~/b\n", {"A": "~/b"}),
    Case("a command is no shell's", "A=$(id) `id`\n", {"A": "$(id) `id`"}),
    Case("a backslash at the line end continues nothing", "A=b\\\nB=2\n", {"A": "b\\", "B": "2"}),
    Case("the last of two", "A=1\nA=2\n", {"A": "2"}),
    Case("a semicolon", "COMPOSE_PATH_SEPARATOR=;\nA=a;b\n", {"COMPOSE_PATH_SEPARATOR": ";", "A": "a;b"}),
    # Comments
    Case("comments and blank lines", "# one\n\n  # two\nA=1\n#B=2", {"A": "1"}),
    Case("a comment behind a value", "A=b # comment\n", {"A": "b"}),
    Case("a number sign without a space is of the value", "A=b#c\n", {"A": "b#c"}),
    Case("a number sign after a tab is of the value", "A=b\t#c\n", {"A": "b\t#c"}),
    Case("a value that begins with a number sign", "A=#b\n", {"A": "#b"}),
    Case("a number sign after the equals sign and a space", "A= #b\n", {"A": "#b"}),
    Case("a comment behind quotes", "A='b' # comment\nB=\"c\"#d\n", {"A": "b", "B": "c"}),
    Case("a number sign in quotes", "A='b # c'\nB=\"d # e\"\n", {"A": "b # c", "B": "d # e"}),
    # Quotes
    Case("single quotes", "A='b $FROM_ENV ${UNSET} $$ \\n'\n", {"A": "b $FROM_ENV ${UNSET} $$ \\n"}),
    Case("a single quote in single quotes", "A='it\\'s'\n", {"A": "it's"}),
    Case("two backslashes in single quotes", "A='b\\\\'\n", {"A": "b\\\\"}),
    Case("double quotes", 'A="b c "\n', {"A": "b c "}),
    Case("a double quote in double quotes", 'A="b\\"c"\n', {"A": 'b"c'}),
    Case("each quote in the other", "A='\"'\nB=\"'\"\n", {"A": '"', "B": "'"}),
    Case("quotes inside of a value", "A=b'c'\"d\"\n", {"A": "b'c'\"d\""}),
    Case("several lines", "A=\"b\nc\"\nB='d\n# e'\nC=3\n", {"A": "b\nc", "B": "d\n# e", "C": "3"}),
    Case("several lines with CRLF", 'A="b\r\nc"\r\n', {"A": "b\r\nc"}),
    Case("two settings on one line", "A='1' B='2'\n", {"A": "1", "B": "2"}),
    Case("a word behind quotes", "A='b'c\nB=2\n", {"A": "b", "B": "2"}),
    Case("quotes that are not closed", "A='b\nB=2\n", None),
    Case("double quotes that are not closed", 'A="b\\"\n', None),
    # Escapes
    Case("escapes in double quotes", 'A="\\n\\r\\t\\v\\f\\a\\b\\\\"\n', {"A": "\n\r\t\v\f\a\b\\"}),
    Case("octal", 'A="\\0101\\0377"\n', {"A": "Aÿ"}),
    Case("octal that is none", 'A="\\0\\012\\0777\\089"\n', {"A": "\\\\12\\777\\89"}),
    Case("other escapes stay", 'A="\\x41\\u0041\\e\\c\\101\\ "\n', {"A": "\\x41\\u0041\\e\\c\\101\\ "}),
    Case("no escapes without quotes", "A=b\\n\\t\\\\\n", {"A": "b\\n\\t\\\\"}),
    Case("a NUL character", 'A="\\0000"\n', None),
    # Variables
    Case("of the environment", "A=$FROM_ENV\nB=${FROM_ENV}\n", {"A": "environment", "B": "environment"}),
    Case("in double quotes", 'A="$FROM_ENV/b"\n', {"A": "environment/b"}),
    Case("of an earlier line", "A=1\nB=$A-${A}\n", {"A": "1", "B": "1-1"}),
    Case("of a later line", "B=$A\nA=1\n", {"B": "", "A": "1"}),
    Case("of itself", "A=1\nA=$A$A\n", {"A": "11"}),
    Case("the environment wins over the file", "BOTH=file\nA=$BOTH\n", {"BOTH": "file", "A": "environment"}),
    Case("lower case", "a=1\nB=$a\n", {"a": "1", "B": "1"}),
    Case("unset", "A=b$UNSET-c\n", {"A": "b-c"}),
    Case("two dollars", "A=$$FROM_ENV $${FROM_ENV}\n", {"A": "$FROM_ENV ${FROM_ENV}"}),
    Case("two dollars in double quotes", 'A="$$b"\n', {"A": "$b"}),
    Case("a backslash and a dollar in double quotes", 'A="\\$FROM_ENV"\n', {"A": "$FROM_ENV"}),
    Case("a backslash and a dollar without quotes", "A=\\$FROM_ENV\n", {"A": "\\environment"}),
    Case("a dollar before no name", "A=$ $1 $- 5$\n", {"A": "$ $1 $- 5$"}),
    Case("a default where unset", "A=${UNSET-b}${EMPTY-c}\n", {"A": "b"}),
    Case("a default where unset or empty", "A=${UNSET:-b}${EMPTY:-c}${FROM_ENV:-d}\n", {"A": "bcenvironment"}),
    Case("an empty default", "A=${UNSET:-}\n", {"A": ""}),
    Case("a default with operators in it", "A=${UNSET:-b-c:-d?e}\n", {"A": "b-c:-d?e"}),
    Case("a default with an address", "A=${UNSET:-localhost:8001}/b\n", {"A": "localhost:8001/b"}),
    Case("a default within a default", "A=${UNSET:-${EMPTY:-b}}c\n", {"A": "bc"}),
    Case("a default with a brace", "A=${UNSET:-{b}}\n", {"A": "{b}"}),
    Case("a default with a brace that stays open", "A=${UNSET:-{}${FROM_ENV:+b}\n", None),
    Case("an alternative where set", "A=${FROM_ENV+b}${EMPTY+c}${UNSET+d}\n", {"A": "bc"}),
    Case("an alternative where not empty", "A=${FROM_ENV:+b}${EMPTY:+c}\n", {"A": "b"}),
    Case("required and set", "A=${FROM_ENV:?b}${EMPTY?c}\n", {"A": "environment"}),
    Case("required and unset", "A=${UNSET?b}\n", None),
    Case("required and empty", "A=${EMPTY:?b}\n", None),
    Case("required in a default that is not used", "A=${FROM_ENV:-${UNSET?b}}\n", None),
    Case("braces that are not closed", "A=${FROM_ENV\n", None),
    Case("braces over two lines", 'A="${UNSET:-b\nc}"\n', None),
    Case("empty braces", "A=${}\n", None),
    Case("a digit in braces", "A=${1}\n", None),
    Case("a space in braces", "A=${ FROM_ENV }\n", None),
    Case("assignment in braces", "A=${UNSET:=b}\n", None),
    Case("a colon without an operator", "A=${UNSET:}\n", None),
)
