package cubby.driver;

import cubby.Displayable;
import java.awt.image.RenderedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.Map;
import javax.imageio.ImageIO;

/** Values as they are shown. All of it may call user code, so it belongs where that can be interrupted. */
public final class Values {
    private static final int MOST_TYPES = 64;
    private static final int LONGEST_TYPE = 256;

    private Values() {}

    /** Returns the forms of a value by MIME type, always with text/plain. */
    public static Map<String, Object> bundle(Object value) {
        Map<String, Object> bundle = new LinkedHashMap<>();
        if (value instanceof Displayable displayable) {
            displayable.bundle().forEach((mime, data) -> bundle.put(checked(mime), plain(mime, data)));
            if (bundle.size() >= MOST_TYPES) {
                throw new IllegalArgumentException("a value with " + bundle.size() + " MIME types: too many");
            }
        } else if (isImage(value)) {
            bundle.put("image/png", png(value));
        }
        if (!(bundle.get("text/plain") instanceof String)) {
            bundle.put("text/plain", value instanceof Displayable && hasNoText(value) ? "" : text(value));
        }
        return bundle;
    }

    /** Returns a value as its toString does, but arrays as their elements. */
    static String text(Object value) {
        if (value != null && value.getClass().isArray()) {
            String nested = Arrays.deepToString(new Object[] {value});
            return nested.substring(1, nested.length() - 1);
        }
        return String.valueOf(value);
    }

    private static String checked(String mime) {
        if (mime.isEmpty() || mime.getBytes(StandardCharsets.UTF_8).length > LONGEST_TYPE) {
            throw new IllegalArgumentException("no MIME type: " + mime);
        }
        return mime;
    }

    private static Object plain(String mime, Object data) {
        if (!(data instanceof byte[] bytes)) {
            return mime.equals("application/json") ? new Json.Written(Json.write(data)) : String.valueOf(data);
        }
        boolean text = mime.startsWith("text/") || mime.endsWith("+xml") || mime.endsWith("json") || mime.endsWith("javascript");
        return text ? new String(bytes, StandardCharsets.UTF_8) : Base64.getEncoder().encodeToString(bytes);
    }

    /** Reports whether the text of an object would be no more than Object's: its class and a number. */
    private static boolean hasNoText(Object value) {
        try {
            return value.getClass().getMethod("toString").getDeclaringClass() == Object.class;
        } catch (NoSuchMethodException e) {
            return true;
        }
    }

    /** Reports whether a value is an image, and loads none of what images need if nobody has made one. */
    private static boolean isImage(Object value) {
        for (Class<?> c = value == null ? null : value.getClass(); c != null; c = c.getSuperclass()) {
            if (c.getName().equals("java.awt.image.BufferedImage")) {
                return true;
            }
        }
        return false;
    }

    private static String png(Object image) {
        try {
            ImageIO.setUseCache(false);
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            ImageIO.write((RenderedImage) image, "png", out);
            return Base64.getEncoder().encodeToString(out.toByteArray());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
