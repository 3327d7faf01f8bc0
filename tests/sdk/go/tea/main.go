// Drives Keyward with kms-20160120/v3, the Tea client: parameters in the query. The argument, if there is one, is the
// version of the signature: V3 unless the client is told.
package main

import (
	"errors"
	"os"
	"reflect"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
	util "github.com/alibabacloud-go/tea-utils/v2/service"
	"github.com/alibabacloud-go/tea/tea"

	"keyward.test/sdk/driver"
)

func main() { driver.Run(call) }

func call(caller driver.Caller, action string, parameters map[string]any) (any, error) {
	config := &openapi.Config{
		AccessKeyId: &caller.ID, AccessKeySecret: &caller.Secret, RegionId: tea.String(driver.Region),
		Endpoint: tea.String(caller.Endpoint()), Protocol: tea.String(caller.Protocol()),
	}
	if len(os.Args) > 1 {
		config.SignatureVersion = &os.Args[1]
	}
	if caller.Token != "" {
		config.SecurityToken = &caller.Token
	}
	client, err := kms.NewClient(config)
	if err != nil {
		return nil, err
	}
	var answer any
	if method := reflect.ValueOf(client).MethodByName(action); method.IsValid() {
		answer, err = generated(method, parameters)
	} else {
		answer, err = common(config, action, parameters)
	}
	var refusal *tea.SDKError
	if errors.As(err, &refusal) && refusal.StatusCode != nil {
		return nil, driver.Refused{Status: *refusal.StatusCode, Code: tea.StringValue(refusal.Code)}
	}
	return answer, err
}

// Makes a call with the generated method of an operation. Some take nothing.
func generated(method reflect.Value, parameters map[string]any) (any, error) {
	var arguments []reflect.Value
	if method.Type().NumIn() == 1 {
		request := reflect.New(method.Type().In(0).Elem())
		if err := driver.FillStruct(request.Elem(), parameters, "json"); err != nil {
			return nil, err
		}
		arguments = append(arguments, request)
	}
	results := method.Call(arguments)
	if err, _ := results[1].Interface().(error); err != nil {
		return nil, err
	}
	return results[0].Elem().FieldByName("Body").Interface(), nil
}

// Makes a call for an operation that the package does not have: of STS, or newer.
func common(config *openapi.Config, action string, parameters map[string]any) (any, error) {
	client, err := openapi.NewClient(config)
	if err != nil {
		return nil, err
	}
	query := map[string]*string{}
	for name, value := range parameters {
		query[name] = tea.String(driver.Text(value))
	}
	params := &openapi.Params{
		Action: &action, Version: tea.String(driver.Version(action)), Protocol: config.Protocol, Pathname: tea.String("/"),
		Method: tea.String("POST"), AuthType: tea.String("AK"), Style: tea.String("RPC"),
		ReqBodyType: tea.String("formData"), BodyType: tea.String("json"),
	}
	answer, err := client.CallApi(params, &openapi.OpenApiRequest{Query: query}, &util.RuntimeOptions{})
	return answer["body"], err
}
