// A web server; with -once it asks itself for one page and ends.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
)

func greet(w http.ResponseWriter, r *http.Request) {
	name := os.Getenv("GREETING_NAME")
	fmt.Fprintf(w, "Hello %s from %s\n", name, r.URL.Path)
}

func main() {
	once := flag.Bool("once", false, "answer one request of our own, print it, end")
	flag.Parse()
	address := ":" + os.Getenv("PORT")
	if *once {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/", greet)
	if !*once {
		log.Fatal(http.Serve(listener, nil))
	}
	go http.Serve(listener, nil)
	answer, err := http.Get("http://" + listener.Addr().String() + "/once")
	if err != nil {
		log.Fatal(err)
	}
	io.Copy(os.Stdout, answer.Body)
}
