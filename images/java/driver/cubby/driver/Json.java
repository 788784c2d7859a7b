package cubby.driver;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** JSON: objects as maps, arrays as lists, numbers as doubles. */
final class Json {
    private static final String HEX = "0123456789abcdef";
    private static final int DEPTH = 256; // of nesting that is written: a list may hold itself

    /** JSON that stands in a value as it is. */
    record Written(String json) {}

    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    /** Returns the value of a text that the supervisor has written; of another the answer is an exception. */
    static Object parse(String text) {
        return new Json(text).value();
    }

    private Object value() {
        switch (next()) {
            case '{':
                return object();
            case '[':
                return array();
            case '"':
                return string();
            default:
                return word();
        }
    }

    /** Returns the next character that is no blank, and leaves it unread. */
    private char next() {
        while (Character.isWhitespace(text.charAt(at))) {
            at++;
        }
        return text.charAt(at);
    }

    private boolean skip(char c) {
        if (next() != c) {
            return false;
        }
        at++;
        return true;
    }

    private Map<String, Object> object() {
        Map<String, Object> object = new LinkedHashMap<>();
        at++;
        while (!skip('}')) {
            next();
            String name = string();
            expect(':');
            object.put(name, value());
            if (!skip(',') && next() != '}') {
                throw broken();
            }
        }
        return object;
    }

    private List<Object> array() {
        List<Object> array = new ArrayList<>();
        at++;
        while (!skip(']')) {
            array.add(value());
            if (!skip(',') && next() != ']') {
                throw broken();
            }
        }
        return array;
    }

    private void expect(char c) {
        if (!skip(c)) {
            throw broken();
        }
    }

    private IllegalArgumentException broken() {
        return new IllegalArgumentException("no JSON at character " + at);
    }

    private String string() {
        StringBuilder string = new StringBuilder();
        for (at++; text.charAt(at) != '"'; at++) {
            char c = text.charAt(at);
            if (c == '\\') {
                c = text.charAt(++at);
                int escape = "bfnrtu".indexOf(c);
                if (c == 'u') {
                    c = (char) Integer.parseInt(text, at + 1, at + 5, 16);
                    at += 4;
                } else if (escape >= 0) {
                    c = "\b\f\n\r\t".charAt(escape);
                }
            }
            string.append(c);
        }
        at++;
        return string.toString();
    }

    private Object word() {
        int start = at;
        while (at < text.length() && ",]} \n".indexOf(text.charAt(at)) < 0) {
            at++;
        }
        String word = text.substring(start, at);
        return switch (word) {
            case "null" -> null;
            case "true" -> true;
            case "false" -> false;
            default -> Double.valueOf(word);
        };
    }

    /** Returns a value as strict JSON: what has no form of its own as its text, and no number as null. */
    static String write(Object value) {
        StringBuilder out = new StringBuilder();
        write(out, value, 0);
        return out.toString();
    }

    private static void write(StringBuilder out, Object value, int depth) {
        if (depth > DEPTH) {
            throw new IllegalArgumentException("data nests more than " + DEPTH + " deep");
        }
        switch (value) {
            case null -> out.append("null");
            case Written written -> out.append(written.json);
            case Map<?, ?> map -> {
                char before = '{';
                for (Map.Entry<?, ?> entry : map.entrySet()) {
                    quote(out.append(before), String.valueOf(entry.getKey()));
                    write(out.append(':'), entry.getValue(), depth + 1);
                    before = ',';
                }
                out.append(before == '{' ? "{}" : "}");
            }
            case Iterable<?> items -> {
                char before = '[';
                for (Object item : items) {
                    write(out.append(before), item, depth + 1);
                    before = ',';
                }
                out.append(before == '[' ? "[]" : "]");
            }
            case Boolean bool -> out.append(bool.booleanValue());
            case Double number when !Double.isFinite(number) -> out.append("null");
            case Float number when !Float.isFinite(number) -> out.append("null");
            case Number number -> out.append(number);
            default -> quote(out, String.valueOf(value));
        }
    }

    private static void quote(StringBuilder out, String text) {
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < ' ' || Character.isSurrogate(c)) { // half a pair has no form in UTF-8
                out.append("\\u");
                for (int shift = 12; shift >= 0; shift -= 4) {
                    out.append(HEX.charAt(c >> shift & 15));
                }
            } else {
                out.append(c);
            }
        }
        out.append('"');
    }
}
