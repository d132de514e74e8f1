import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** Writes words, counts them in parallel, or takes more than it is given. */
class Words {
    public static void main(String[] arguments) throws IOException {
        switch (arguments[0]) {
            case "write" -> write(Path.of(arguments[1]), Integer.parseInt(arguments[2]));
            case "count" -> count(Path.of(arguments[1]));
            case "hoard" -> hoard();
            case "threads" -> threads(Integer.parseInt(arguments[1]));
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    static void write(Path file, int words) throws IOException {
        Files.write(file, (Iterable<String>) IntStream.range(0, words).mapToObj(i -> "word" + i % 1000)::iterator);
        System.out.println(words + " words");
    }

    static void count(Path file) throws IOException {
        Runtime runtime = Runtime.getRuntime();
        System.out.printf("processors %d, heap %d MiB%n", runtime.availableProcessors(), runtime.maxMemory() >> 20);
        Map<String, Long> counts = Files.readAllLines(file).parallelStream()
                .collect(Collectors.groupingByConcurrent(Function.identity(), Collectors.counting()));
        long words = counts.values().stream().mapToLong(Long::longValue).sum();
        System.out.printf("%d words, %d of them different%n", words, counts.size());
    }

    static void hoard() {
        List<byte[]> kept = new ArrayList<>();
        while (true) kept.add(new byte[1 << 20]);
    }

    static void threads(int wanted) {
        CountDownLatch never = new CountDownLatch(1);
        try {
            for (int i = 0; i < wanted; i++) {
                Thread thread = new Thread(() -> {
                    try {
                        never.await();
                    } catch (InterruptedException e) {
                        Thread.currentThread().interrupt();
                    }
                });
                thread.setDaemon(true);
                thread.start();
            }
        } catch (OutOfMemoryError error) {
            System.out.println(error.getMessage());
            System.exit(1);
        }
    }
}
