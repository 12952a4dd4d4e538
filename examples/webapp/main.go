// Renders the page named by its argument from the templates beside it.
package main

import (
	"html/template"
	"log"
	"os"
	"path/filepath"
)

func main() {
	page := "index.html"
	if len(os.Args) > 1 {
		page = os.Args[1]
	}
	program, err := os.Executable()
	if err != nil {
		log.Fatal(err)
	}
	files := filepath.Join(filepath.Dir(program), "templates", "*.html")
	templates := template.Must(template.ParseGlob(files))
	data := map[string]string{"Title": os.Getenv("SITE_TITLE")}
	if err := templates.ExecuteTemplate(os.Stdout, page, data); err != nil {
		log.Fatal(err)
	}
}
