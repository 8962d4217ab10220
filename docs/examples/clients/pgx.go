// Writes through failovers with pgx, and prints each number once it is committed.
//
// Usage: pgx HOST,HOST WRITER
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v4"
)

const patience = time.Second
const tcpUserTimeout = 18

func configuration(host string) *pgx.ConnConfig {
	config, err := pgx.ParseConfig("host=" + host + " dbname=postgres user=postgres sslmode=disable " +
		"target_session_attrs=read-write connect_timeout=1")
	if err != nil {
		panic(err)
	}
	dialer := net.Dialer{
		Timeout:   patience,
		KeepAlive: time.Second,
		Control: func(_, _ string, socket syscall.RawConn) error {
			return socket.Control(func(fd uintptr) {
				syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(patience.Milliseconds()))
			})
		},
	}
	config.DialFunc = dialer.DialContext
	return config
}

// connect tries the hosts in their order. The connect_timeout of pgx 4 is one for all hosts together: each gets its own here.
func connect(configs []*pgx.ConnConfig) *pgx.Conn {
	for _, config := range configs {
		connection, err := pgx.ConnectConfig(context.Background(), config)
		if err == nil {
			return connection
		}
		fmt.Fprintln(os.Stderr, err)
	}
	time.Sleep(20 * time.Millisecond)
	return nil
}

func main() {
	var configs []*pgx.ConnConfig
	for _, host := range strings.Split(os.Args[1], ",") {
		configs = append(configs, configuration(host))
	}
	var connection *pgx.Conn
	for number := 0; ; number++ {
		for connection == nil {
			connection = connect(configs)
		}
		// A frozen host acknowledges what is sent to it: only a deadline of the application helps.
		limited, cancel := context.WithTimeout(context.Background(), patience)
		_, err := connection.Exec(limited, fmt.Sprintf("insert into ledger (writer, value) values (%s, %d)", os.Args[2], number))
		cancel()
		if err == nil {
			fmt.Println(number)
		} else {
			fmt.Fprintln(os.Stderr, number, err)
			closing, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
			connection.Close(closing)
			cancel()
			connection = nil
		}
		time.Sleep(10 * time.Millisecond)
	}
}
