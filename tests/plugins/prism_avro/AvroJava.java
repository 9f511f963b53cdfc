// Answers for each line of standard input, which is a reader schema, a writer schema and a value in hexadecimal, between tabs:
// whether Avro Java calls the two compatible, and whether it reads the value. "refused" stands for a schema that it does not parse.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import org.apache.avro.Schema;
import org.apache.avro.SchemaCompatibility;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.io.DecoderFactory;

public class AvroJava {
  public static void main(String[] arguments) throws Exception {
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      String[] parts = line.split("\t", -1);
      System.out.println(answer(parts[0], parts[1], parts[2]));
    }
  }

  static String answer(String readerText, String writerText, String value) {
    Schema reader;
    Schema writer;
    try {
      reader = new Schema.Parser().parse(readerText);
      writer = new Schema.Parser().parse(writerText);
    } catch (RuntimeException refused) {
      return "refused -";
    }
    return compatible(reader, writer) + " " + (reads(reader, writer, HexFormat.of().parseHex(value)) ? "reads" : "fails");
  }

  static String compatible(Schema reader, Schema writer) {
    try {
      return SchemaCompatibility.checkReaderWriterCompatibility(reader, writer).getType().toString().toLowerCase();
    } catch (RuntimeException ambiguous) {
      return "incompatible"; // as Confluent's registry takes it
    }
  }

  static boolean reads(Schema reader, Schema writer, byte[] value) {
    try {
      new GenericDatumReader<Object>(writer, reader).read(null, DecoderFactory.get().binaryDecoder(value, null));
      return true;
    } catch (Exception unreadable) {
      return false;
    }
  }
}
