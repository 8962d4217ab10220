/**
 * Writes through failovers with the JDBC driver, and prints each number once it is committed.
 *
 * <p>Usage: java -cp postgresql.jar Jdbc.java HOST,HOST WRITER
 */
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;

public class Jdbc {
    public static void main(String[] args) throws Exception {
        // The driver remembers for hostRecheckSeconds (10) which host was primary.
        String url = "jdbc:postgresql://" + args[0] + "/postgres?user=postgres&targetServerType=primary"
                + "&connectTimeout=1&loginTimeout=2&socketTimeout=1&tcpKeepAlive=true&hostRecheckSeconds=0";
        Connection connection = null;
        for (long number = 0; ; number++) {
            while (connection == null) {
                try {
                    connection = DriverManager.getConnection(url);
                } catch (SQLException error) {
                    System.err.println(error.getMessage());
                    Thread.sleep(20);
                }
            }
            try (Statement statement = connection.createStatement()) {
                statement.execute("insert into ledger (writer, value) values (" + args[1] + ", " + number + ")");
                System.out.println(number);
            } catch (SQLException error) {
                System.err.println(number + " " + error.getMessage());
                connection.abort(Runnable::run);
                connection = null;
            }
            Thread.sleep(10);
        }
    }
}
