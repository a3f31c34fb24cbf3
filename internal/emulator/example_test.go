package emulator_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"bulkhead/internal/emulator"
)

// A test starts an org of its own, scripts what shall go wrong, and points any
// client at its URL.
func Example() {
	org, err := emulator.Start(context.Background(), emulator.Config{
		Faults: []emulator.Fault{{Path: "/oauth2/token", Status: http.StatusServiceUnavailable, Times: 1}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer org.Close()

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	login := url.Values{"grant_type": {"client_credentials"}}.Encode()
	for range 2 {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost,
			org.URL()+"/services/oauth2/token", strings.NewReader(login))
		if err != nil {
			fmt.Println(err)
			return
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth(emulator.DefaultClientID, emulator.DefaultClientSecret)
		resp, err := client.Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
	}
	fmt.Println(org.State().Sessions, "session")
	// Output:
	// 503 Service Unavailable
	// 200 OK
	// 1 session
}
